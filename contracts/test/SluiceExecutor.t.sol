// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SluiceExecutor} from "../src/SluiceExecutor.sol";
import {CarelessOwner, HostilePool} from "./Hostile.sol";
import {IPair, IToken, Market} from "./Market.sol";
import {DenyingToken, SilentToken} from "./Tokens.sol";
import {vm} from "./Vm.sol";

contract SluiceExecutorTest is Market {
    uint128 private constant AMOUNT_IN = 1e18;

    IToken[] private tokens;
    IPair[] private pairs;

    // ---------------------------------------------------------------- cycles

    function test_profit_is_exact_over_2_to_8_hops() public {
        for (uint256 count = 2; count <= 8; ++count) {
            _openCycle(count);
            _runAndCheckExactProfit(AMOUNT_IN);
        }
    }

    function test_token_without_return_value() public {
        SilentToken silent = new SilentToken();
        silent.mint(address(this), 1e30);
        _openCycleOver(IToken(address(silent)), _newToken());
        _runAndCheckExactProfit(AMOUNT_IN);
        _openCycleOver(weth, IToken(address(silent)));
        _runAndCheckExactProfit(AMOUNT_IN);
    }

    function test_token_that_answers_false() public {
        DenyingToken denying = new DenyingToken();
        denying.mint(address(this), 1e30);
        _openCycleOver(IToken(address(denying)), _newToken());
        denying.deny(address(executor));
        Hop[] memory hops = _hops(AMOUNT_IN);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.TransferFailed.selector, denying));
        _execute(AMOUNT_IN, 0, hops);
    }

    function test_last_hop_that_does_not_cover_the_first() public {
        _openCycle(2);
        Hop[] memory hops = _hops(AMOUNT_IN);
        hops[1].amountOut = AMOUNT_IN - 1;
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.TransferFailed.selector, weth));
        _execute(AMOUNT_IN, 0, hops);
    }

    function testFuzz_profit_is_exact_and_nothing_stays(uint256[10] memory seeds, uint256 sizeSeed, uint256 countSeed) public {
        uint256 count = _between(countSeed, 2, 5);
        _openFuzzedCycle(count, seeds);
        // From all of the first pool's depth downwards: what is too much or too little must revert, all else must pay exactly.
        (uint256 reserve,,) = pairs[0].getReserves();
        uint128 amountIn = uint128(_between(sizeSeed, 1, 1 + (reserve >> (sizeSeed % 16))));
        Hop[] memory hops = _hops(amountIn);

        for (uint256 i = 0; i < count; ++i) {
            if (hops[i].amountOut == 0) return _expectAnyRevert(amountIn, hops);
        }
        if (hops[count - 1].amountOut < amountIn) return _expectAnyRevert(amountIn, hops);
        _runAndCheckExactProfit(amountIn);
    }

    function testFuzz_one_unit_too_much_of_any_hop_reverts(uint256[10] memory seeds, uint256 hopSeed) public {
        uint256 count = _between(hopSeed, 2, 5);
        _openFuzzedCycle(count, seeds);
        uint128 amountIn = uint128(weth.balanceOf(address(pairs[0])) / 1000 + 1);
        Hop[] memory hops = _hops(amountIn);
        vm.assume(hops[count - 1].amountOut > amountIn);
        hops[hopSeed % count].amountOut += 1;
        vm.expectRevert(bytes("UniswapV2: K"));
        _execute(amountIn, 0, hops);
    }

    // ---------------------------------------------------------------- minimum profit

    function test_minimum_profit_is_met_exactly() public {
        _openCycle(3);
        Hop[] memory hops = _hops(AMOUNT_IN);
        uint128 profit = hops[2].amountOut - AMOUNT_IN;

        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ProfitTooLow.selector, profit, profit + 1));
        _execute(AMOUNT_IN, profit + 1, hops);
        _execute(AMOUNT_IN, profit, hops);
        vm.assertEq(weth.balanceOf(OWNER), profit, "profit");
    }

    function test_k_violated() public {
        for (uint256 spoiled = 0; spoiled < 3; ++spoiled) {
            _openCycle(3);
            Hop[] memory hops = _hops(AMOUNT_IN);
            hops[spoiled].amountOut += 1;
            vm.expectRevert(bytes("UniswapV2: K"));
            _execute(AMOUNT_IN, 0, hops);
        }
    }

    // ---------------------------------------------------------------- who may call

    function test_only_owner() public {
        _openCycle(2);
        bytes memory packed = _pack(_hops(AMOUNT_IN));
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.NotOwner.selector));
        executor.execute(address(weth), AMOUNT_IN, 0, packed);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.NotOwner.selector));
        executor.sweep(address(weth));
        vm.assertEq(executor.owner(), OWNER, "owner");
    }

    function test_callback_from_stranger() public {
        bytes memory data = abi.encodePacked(weth, AMOUNT_IN, new bytes(74));
        _expectUnexpectedCallback(address(this), address(executor));
        executor.uniswapV2Call(address(executor), 1, 0, data);
    }

    function test_callback_from_the_sentinels() public {
        for (uint160 sentinel = 0; sentinel < 3; ++sentinel) {
            // Nobody has a key for these; still, with any other sender they must not pass.
            _expectUnexpectedCallback(address(sentinel), address(this));
            vm.prank(address(sentinel));
            executor.uniswapV2Call(address(this), 1, 0, "");
        }
    }

    function test_callback_from_a_pool_somebody_else_asked() public {
        _openCycle(2);
        // A real pool, but outside of `execute` and with another sender.
        _expectUnexpectedCallback(address(pairs[1]), address(this));
        pairs[1].swap(1, 0, address(executor), "x");
    }

    function test_callback_from_another_pool_than_the_one_asked() public {
        _openCycle(2);
        HostilePool asked = new HostilePool();
        Hop[] memory hops = _hops(AMOUNT_IN);
        hops[1].pool = address(asked);
        asked.plan(address(pairs[1]), abi.encodeWithSelector(IPair(address(0)).swap.selector, 1, 0, executor, bytes("x")), false);
        _expectUnexpectedCallback(address(pairs[1]), address(asked));
        _execute(AMOUNT_IN, 0, hops);
    }

    function test_second_callback_of_the_same_pool() public {
        (HostilePool hostile, Hop[] memory hops) = _hostileLastPool();
        bytes memory data = abi.encodePacked(weth, uint128(1), _pack(hops));
        hostile.plan(
            address(executor), abi.encodeWithSelector(SluiceExecutor.uniswapV2Call.selector, executor, 1, 0, data), true
        );
        _expectUnexpectedCallback(address(hostile), address(executor));
        _execute(AMOUNT_IN, 0, hops);
    }

    function test_pool_that_does_not_call_back() public {
        (HostilePool hostile, Hop[] memory hops) = _hostileLastPool();
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.CallbackMissing.selector, hostile));
        _execute(AMOUNT_IN, 0, hops);
    }

    function test_no_reentrancy_even_through_the_owner() public {
        CarelessOwner owner = new CarelessOwner();
        executor = SluiceExecutor(_deploy("artifacts/SluiceExecutor.json", abi.encode(owner)));
        (HostilePool hostile, Hop[] memory hops) = _hostileLastPool();
        bytes memory again = abi.encodeCall(SluiceExecutor.execute, (address(weth), AMOUNT_IN, 0, _pack(hops)));
        for (uint256 late = 0; late < 2; ++late) {
            hostile.plan(address(owner), abi.encodeCall(CarelessOwner.relay, (address(executor), again)), late == 1);
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.Busy.selector));
            owner.relay(address(executor), again);
        }
    }

    // ---------------------------------------------------------------- malformed hops

    function test_unknown_kind_in_any_hop() public {
        _openCycle(3);
        for (uint256 i = 0; i < 3; ++i) {
            Hop[] memory hops = _hops(AMOUNT_IN);
            hops[i].flags |= uint8((i + 1) << 1);
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnknownKind.selector, i + 1));
            _execute(AMOUNT_IN, 0, hops);
        }
    }

    function testFuzz_wrong_length_of_hops(uint256 lengthSeed) public {
        uint256 length = _between(lengthSeed, 0, 400);
        if (length % 37 == 0 && length >= 74 && length <= 296) length += 1;
        bytes memory packed = new bytes(length);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.BadHops.selector, length));
        vm.prank(OWNER);
        executor.execute(address(weth), AMOUNT_IN, 0, packed);
    }

    // ---------------------------------------------------------------- what it holds

    function test_slot_0_is_the_sentinel() public view {
        vm.assertEq(uint256(vm.load(address(executor), 0)), 1, "slot 0 after deployment");
    }

    function test_sweep() public {
        weth.transfer(address(executor), 5);
        vm.prank(OWNER);
        executor.sweep(address(weth));
        vm.assertEq(weth.balanceOf(OWNER), 5, "swept");
        vm.assertEq(weth.balanceOf(address(executor)), 0, "left");
    }

    function test_takes_no_ether() public {
        (bool ok,) = address(executor).call{value: 1}("");
        vm.assertTrue(!ok, "ether accepted");
    }

    // ---------------------------------------------------------------- helpers

    /// @dev A cycle of `count` balanced pools with fresh tokens, except that the last pays half as much again: profitable for AMOUNT_IN.
    function _openCycle(uint256 count) private {
        _startCycle(weth);
        for (uint256 i = 1; i < count; ++i) {
            tokens.push(_newToken());
        }
        for (uint256 i = 0; i < count; ++i) {
            pairs.push(_newPair(tokens[i], 1000e18, tokens[(i + 1) % count], i + 1 == count ? 1500e18 : 1000e18));
        }
    }

    function _openCycleOver(IToken first, IToken second) private {
        _startCycle(first);
        tokens.push(second);
        pairs.push(_newPair(first, 1000e18, second, 1000e18));
        pairs.push(_newPair(second, 1000e18, first, 1500e18));
    }

    /// @dev Any reserves from 10^4 to 10^26; the last pool pays 4 to 64 times the rate, so that most small cycles are profitable.
    function _openFuzzedCycle(uint256 count, uint256[10] memory seeds) private {
        _startCycle(weth);
        for (uint256 i = 1; i < count; ++i) {
            tokens.push(_newToken());
        }
        uint256 reserve = _between(seeds[0], 1e4, 1e26);
        for (uint256 i = 0; i < count; ++i) {
            uint256 reserveOut = _between(seeds[2 * i], reserve / 2, reserve) * (i + 1 == count ? _between(seeds[0], 4, 64) : 1);
            pairs.push(_newPair(tokens[i], _between(seeds[2 * i + 1], reserve / 2, reserve), tokens[(i + 1) % count], reserveOut));
        }
    }

    function _startCycle(IToken first) private {
        delete tokens;
        delete pairs;
        tokens.push(first);
    }

    /// @dev A cycle of two hops whose last pool is hostile; the executor holds enough to pay the first.
    function _hostileLastPool() private returns (HostilePool hostile, Hop[] memory hops) {
        _openCycle(2);
        hops = _hops(AMOUNT_IN);
        hostile = new HostilePool();
        hops[1].pool = address(hostile);
        weth.transfer(address(executor), AMOUNT_IN + 1);
    }

    function _hops(uint256 amountIn) private view returns (Hop[] memory) {
        return _quoteAll(pairs, tokens, amountIn);
    }

    function _execute(uint128 amountIn, uint128 minProfit, Hop[] memory hops) private {
        vm.prank(OWNER);
        executor.execute(address(tokens[0]), amountIn, minProfit, _pack(hops));
    }

    function _runAndCheckExactProfit(uint128 amountIn) private {
        Hop[] memory hops = _hops(amountIn);
        uint128 profit = hops[hops.length - 1].amountOut - amountIn;
        uint256 before = tokens[0].balanceOf(OWNER);
        bytes memory packed = _pack(hops);

        vm.prank(OWNER);
        executor.execute(address(tokens[0]), amountIn, profit, packed);

        vm.assertEq(tokens[0].balanceOf(OWNER) - before, profit, "profit");
        for (uint256 i = 0; i < tokens.length; ++i) {
            vm.assertEq(tokens[i].balanceOf(address(executor)), 0, "left behind");
        }
        vm.assertEq(uint256(vm.load(address(executor), 0)), 1, "slot 0");
    }

    function _expectAnyRevert(uint128 amountIn, Hop[] memory hops) private {
        bytes memory packed = _pack(hops);
        vm.prank(OWNER);
        vm.expectRevert();
        executor.execute(address(tokens[0]), amountIn, 0, packed);
        vm.assertEq(uint256(vm.load(address(executor), 0)), 1, "slot 0 after a revert");
    }

    function _expectUnexpectedCallback(address caller, address sender) private {
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, caller, sender));
    }

    function _between(uint256 seed, uint256 low, uint256 high) private pure returns (uint256) {
        return low + seed % (high - low + 1);
    }
}
