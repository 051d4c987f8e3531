// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PoolKey} from "../src/Protocols.sol";
import {SluiceExecutor} from "../src/SluiceExecutor.sol";
import {IPair, IToken} from "./Market.sol";
import {IV3Pool} from "./Provider.sol";
import {RouteMarket} from "./RouteMarket.sol";
import {DenyingToken, SilentToken, ThriftyToken} from "./Tokens.sol";
import {StandInCurve} from "./Vaults.sol";
import {vm} from "./Vm.sol";

/// @dev What routes of each kind earn, over the real contracts where npm has them.
contract RoutesTest is RouteMarket {
    uint128 private constant AMOUNT_IN = 1e18;

    IToken private a;
    IToken private b;

    function setUp() public override {
        super.setUp();
        (a, b) = (_richToken(), _richToken());
    }

    function _nothingStays() private view {
        vm.assertEq(a.balanceOf(address(executor)), 0, "a left behind");
        vm.assertEq(b.balanceOf(address(executor)), 0, "b left behind");
    }

    // ---------------------------------------------------------------- Uniswap V3, PancakeSwap V3, with V2

    function test_v3_over_2_to_8_hops() public {
        for (uint256 count = 2; count <= 8; ++count) {
            _start(AMOUNT_IN);
            IToken sold = weth;
            for (uint256 i = 0; i + 1 < count; ++i) {
                IToken bought = _richToken();
                _addV3(_newV3(sold, bought, false), sold, V3);
                sold = bought;
            }
            IV3Pool last = count == 2 ? _newPancake(sold, weth, true) : _newV3(sold, weth, true);
            _addV3(last, sold, count == 2 ? PANCAKE_V3 : V3);
            _runExactly(weth, _plainRoute(weth));
            vm.assertEq(sold.balanceOf(address(executor)), 0, "left behind");
        }
    }

    function testFuzz_v3_of_both_houses(uint128 first, bool pancakeFirst) public {
        // From dust to more than the narrow range holds.
        first = 1e6 + first % 700e18;
        _start(first);
        _addV3(pancakeFirst ? _newPancake(weth, a, false) : _newV3(weth, a, false), weth, pancakeFirst ? PANCAKE_V3 : V3);
        _addV3(pancakeFirst ? _newV3(a, weth, true) : _newPancake(a, weth, true), a, pancakeFirst ? V3 : PANCAKE_V3);
        bytes memory route = _plainRoute(weth);
        if (amount < first) {
            vm.prank(OWNER);
            vm.expectRevert();
            executor.executeRoute(0, route);
        } else {
            vm.assertEq(_run(weth, amount - first, route), amount - first, "profit");
        }
        _nothingStays();
    }

    function test_v2_and_v3_in_any_order() public {
        for (uint256 shape = 1; shape < 7; ++shape) {
            (a, b) = (_richToken(), _richToken());
            IToken[4] memory tokens = [weth, a, b, weth];
            _start(AMOUNT_IN);
            for (uint256 i = 0; i < 3; ++i) {
                bool generous = i == 2;
                if (shape >> i & 1 == 1) _addV3(_newV3(tokens[i], tokens[i + 1], generous), tokens[i], V3);
                else _addV2(_newPair(tokens[i], 1000e18, tokens[i + 1], generous ? 1500e18 : 1000e18), tokens[i], generous ? FLASH : 0);
            }
            _runExactly(weth, _plainRoute(weth));
            _nothingStays();
        }
    }

    // ---------------------------------------------------------------- Uniswap V4

    function test_v4_alone_moves_nothing_but_the_profit() public {
        PoolKey memory first = _newV4(address(weth), address(a), false);
        PoolKey memory second = _newV4(address(a), address(b), false);
        PoolKey memory third = _newV4(address(b), address(weth), true);
        uint256 held = a.balanceOf(address(manager));
        _start(AMOUNT_IN);
        _addV4(first, address(weth), 0);
        _addV4(second, address(a), 0);
        _addV4(third, address(b), UNLOCK);
        _runExactly(weth, abi.encodePacked(_backwards(2, 0), _mark(HOLD, amountIn), weth));
        vm.assertEq(a.balanceOf(address(manager)), held, "moved");
        _nothingStays();
    }

    function test_v4_through_native_coin() public {
        PoolKey memory first = _newV4(address(a), address(0), false);
        PoolKey memory second = _newV4(address(0), address(b), false);
        _start(AMOUNT_IN);
        _addV3(_newV3(weth, a, false), weth, V3);
        _addV4(first, address(a), 0);
        _addV4(second, address(0), UNLOCK | TAKE);
        _addV3(_newV3(b, weth, true), b, V3);
        _runExactly(weth, _plainRoute(weth));
        vm.assertEq(address(executor).balance, 0, "ether left behind");
        _nothingStays();
    }

    function test_v4_lends_and_is_paid_by_others() public {
        _start(AMOUNT_IN);
        _addV3(_newV3(weth, a, false), weth, V3);
        _addV2(_newPair(a, 1000e18, b, 1000e18), a, 0);
        _addV4(_newV4(address(b), address(weth), true), address(b), UNLOCK | TAKE);
        _runExactly(weth, _plainRoute(weth));
        _nothingStays();
    }

    function test_v4_first_and_last_around_others() public {
        PoolKey memory first = _newV4(address(weth), address(a), false);
        _start(AMOUNT_IN);
        _addV4(first, address(weth), TAKE);
        _addV3(_newV3(a, b, false), a, V3);
        _addV4(_newV4(address(b), address(weth), true), address(b), UNLOCK | INDIRECT);
        _runExactly(weth, abi.encodePacked(_backwards(2, 0), _mark(HOLD, amountIn), weth));
        _nothingStays();
    }

    function test_v4_twice_apart_inside_a_flash_swap() public {
        PoolKey memory first = _newV4(address(weth), address(a), false);
        IToken c = _richToken();
        _start(AMOUNT_IN);
        _addV4(first, address(weth), TAKE);
        _addV3(_newV3(a, b, false), a, V3);
        _addV4(_newV4(address(b), address(c), false), address(b), UNLOCK | TAKE | INDIRECT);
        _addV2(_newPair(c, 1000e18, weth, 1500e18), c, FLASH);
        _runExactly(weth, _plainRoute(weth));
        _nothingStays();
    }

    function test_v4_manager_lets_nobody_leave_in_debt() public {
        _start(AMOUNT_IN);
        _addV3(_newV3(weth, a, false), weth, V3);
        _addV4(_newV4(address(a), address(weth), true), address(a), UNLOCK | TAKE | INDIRECT);
        // Said to be held where it is not.
        uint128 owed = uint128(bytes16(_slice(steps[0], 1)));
        bytes memory route = abi.encodePacked(steps[1], _mark(HOLD, owed), weth);
        vm.expectRevert(abi.encodeWithSignature("CurrencyNotSettled()"));
        vm.prank(OWNER);
        executor.executeRoute(0, route);
    }

    // ---------------------------------------------------------------- Balancer, Curve

    function test_balancer_and_curve_between_pools_that_lend() public {
        IToken c = _richToken();
        IToken d = _richToken();
        _start(AMOUNT_IN);
        _addV2(_newPair(weth, 1000e18, a, 1000e18), weth, 0);
        _addBalancer(_balancerId(999_000), a, b);
        _addCurve(_newCurve(b, c, false), b, c);
        _addCurveNg(_newCurve(c, d, false), c);
        _addV3(_newV3(d, weth, true), d, V3);
        _runExactly(weth, _plainRoute(weth));
        _nothingStays();
    }

    function test_turned_cycles_end_in_curve_and_balancer() public {
        for (uint256 last = 0; last < 3; ++last) {
            (a, b) = (_richToken(), _richToken());
            _start(AMOUNT_IN);
            _addV3(_newV3(weth, a, false), weth, V3);
            _addV2(_newPair(a, 1000e18, b, 1000e18), a, FLASH);
            uint128 lent = amount;
            if (last == 0) _addCurve(_newCurve(b, weth, true), b, weth);
            else if (last == 1) _addCurveNg(_newCurve(b, weth, true), b);
            else _addBalancer(_balancerId(1_500_000), b, weth);
            _runExactly(weth, abi.encodePacked(_backwards(1, 0), _mark(PAY, amountIn), steps[2], _mark(HOLD, lent), weth));
            _nothingStays();
        }
    }

    function test_first_and_last_are_both_paid_by_allowance() public {
        StandInCurve last = _newCurve(b, weth, true);
        _start(AMOUNT_IN);
        _addBalancer(_balancerId(1_000_000), weth, a);
        _addV4(_newV4(address(a), address(b), false), address(a), UNLOCK | TAKE);
        uint128 lent = amount;
        _addCurve(last, b, weth);
        _runExactly(weth, abi.encodePacked(_backwards(1, 0), _mark(PAY, amountIn), steps[2], _mark(HOLD, lent), weth));
        _nothingStays();
    }

    function test_loan_of_the_vault() public {
        _start(AMOUNT_IN);
        _addCurve(_newCurve(weth, a, false), weth, a);
        _addCurveNg(_newCurve(a, weth, true), a);
        bytes memory route = abi.encodePacked(_mark(LOAN_VAULT, amountIn), _backwards(1, 0), _mark(HOLD, amountIn), weth);
        _runExactly(weth, route);
        vault.setFee(1000);
        vm.assertEq(_run(weth, 0, route), amount - amountIn - 1000, "profit less the loan's fee");
        _nothingStays();
    }

    function test_loan_of_the_manager_where_the_vault_is_a_hop() public {
        weth.transfer(address(manager), 10e18);
        _start(AMOUNT_IN);
        _addCurve(_newCurve(weth, a, false), weth, a);
        _addBalancer(_balancerId(1_500_000), a, weth);
        bytes memory packed = _backwards(1, 0);
        bytes memory route = abi.encodePacked(_mark(LOAN_VAULT, amountIn), packed, _mark(HOLD, amountIn), weth);
        vm.expectRevert("BAL#400");
        vm.prank(OWNER);
        executor.executeRoute(0, route);
        _runExactly(weth, abi.encodePacked(_mark(LOAN_MANAGER, amountIn), manager, packed, _mark(HOLD, amountIn), weth));
        _nothingStays();
    }

    // ---------------------------------------------------------------- tokens

    function test_token_without_return_values_that_is_strict_about_allowances() public {
        SilentToken silent = new SilentToken();
        silent.mint(address(this), 1e40);
        IToken usdt = IToken(address(silent));
        _enrich(usdt);
        StandInCurve curve = _newCurve(usdt, a, false);
        _start(AMOUNT_IN);
        _addV3(_newV3(weth, usdt, false), weth, V3);
        _addCurve(curve, usdt, a);
        _addV3(_newV3(a, weth, true), a, V3);
        // An allowance that is there but too small must be taken back first.
        vm.prank(OWNER);
        executor.allow(address(usdt), address(curve), 1);
        _runExactly(weth, _plainRoute(weth));
        vm.assertEq(silent.allowance(address(executor), address(curve)), type(uint256).max, "allowance");
        vm.prank(OWNER);
        executor.allow(address(usdt), address(curve), 0);
        vm.assertEq(silent.allowance(address(executor), address(curve)), 0, "taken back");
    }

    function test_token_that_answers_false() public {
        DenyingToken denying = new DenyingToken();
        denying.mint(address(this), 1e40);
        IToken token = IToken(address(denying));
        _enrich(token);
        StandInCurve curve = _newCurve(weth, token, false);
        _start(AMOUNT_IN);
        _addCurve(curve, weth, token);
        _addV3(_newV3(token, weth, true), token, V3);
        denying.deny(address(executor));
        bytes memory route = _plainRoute(weth);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.TransferFailed.selector, denying));
        vm.prank(OWNER);
        executor.executeRoute(0, route);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ApprovalFailed.selector, denying));
        vm.prank(OWNER);
        executor.allow(address(denying), address(curve), 1);
    }

    function test_allowance_that_shrinks_is_renewed() public {
        ThriftyToken thrifty = new ThriftyToken();
        thrifty.mint(address(this), 1e40);
        IToken token = IToken(address(thrifty));
        _enrich(token);
        _start(AMOUNT_IN);
        StandInCurve curve = _newCurve(token, weth, true);
        _addV3(_newV3(weth, token, false), weth, V3);
        _addCurve(curve, token, weth);
        // The lender is the first hop: the cycle is turned.
        bytes memory lender = abi.encodePacked(steps[0], _mark(PAY, amountIn), steps[1]);
        uint128 lent = uint128(bytes16(_slice(steps[0], 1)));
        _runExactly(weth, abi.encodePacked(lender, _mark(HOLD, lent), weth));
        vm.assertEq(thrifty.allowance(address(executor), address(curve)), type(uint96).max - lent, "allowance");
    }

    // ---------------------------------------------------------------- promises kept

    function test_minimum_profit_is_met_exactly() public {
        PoolKey memory first = _newV4(address(weth), address(a), false);
        PoolKey memory second = _newV4(address(b), address(weth), true);
        IV3Pool middle = _newV3(a, b, false);
        for (uint256 shape = 0; shape < 2; ++shape) {
            _start(AMOUNT_IN);
            _addV4(first, address(weth), shape == 0 ? TAKE : UNLOCK | TAKE);
            _addV3(middle, a, V3);
            if (shape == 0) _addV4(second, address(b), UNLOCK | INDIRECT);
            else _addV3(_newV3(b, weth, true), b, V3);
            bytes memory route = abi.encodePacked(_backwards(2, 0), _mark(shape == 0 ? HOLD : PAY, amountIn), weth);
            uint128 profit = amount - amountIn;
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ProfitTooLow.selector, profit, profit + 1));
            vm.prank(OWNER);
            executor.executeRoute(profit + 1, route);
            _runExactly(weth, route);
        }
    }

    function testFuzz_any_other_output_than_promised_reverts(uint256 seed) public {
        uint256 kind = seed % 5;
        StandInCurve curve = _newCurve(weth, a, false);
        _start(AMOUNT_IN);
        if (kind == 0) _addV3(_newV3(weth, a, false), weth, V3);
        else if (kind == 1) _addV4(_newV4(address(weth), address(a), false), address(weth), UNLOCK | TAKE);
        else if (kind == 2) _addBalancer(_balancerId(1_000_000), weth, a);
        else if (kind == 3) _addCurve(curve, weth, a);
        else _addCurveNg(curve, weth);
        uint128 promised = amount;
        _addV2(_newPair(a, 1000e18, weth, 1500e18), a, FLASH);

        bool more = seed >> 8 & 1 == 1;
        uint128 changed = more ? promised + 1 + uint128(seed >> 16) % promised : promised - 1 - uint128(seed >> 16) % (promised / 2);
        bytes memory step = bytes.concat(bytes.concat(steps[0][0], bytes16(changed)), _tail(steps[0], 17));
        bytes memory route = abi.encodePacked(steps[1], step, _mark(PAY, amountIn), weth);
        vm.expectRevert();
        vm.prank(OWNER);
        executor.executeRoute(0, route);
        _runExactly(weth, _plainRoute(weth));
    }

    function test_output_above_the_promise_is_refused_by_name() public {
        IV3Pool pool = _newV3(weth, a, false);
        _start(AMOUNT_IN);
        _addV3(pool, weth, V3);
        uint128 promised = amount;
        _addV3(_newPancake(a, weth, true), a, PANCAKE_V3);
        bytes memory route = _plainRoute(weth);
        // Somebody trades the other way first.
        bool zeroForOne = address(pool.token0()) == address(weth);
        provider.tradeV3(pool, !zeroForOne, 1e18);
        uint256 got = provider.quote(abi.encodeCall(provider.tradeV3, (pool, zeroForOne, int256(uint256(AMOUNT_IN)))));
        vm.assertTrue(got > promised, "not above");
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.WrongOutput.selector, pool, got, promised));
        vm.prank(OWNER);
        executor.executeRoute(0, route);
    }

    function _slice(bytes memory step, uint256 start) private pure returns (bytes32 word) {
        assembly {
            word := mload(add(add(step, 32), start))
        }
    }

    function _tail(bytes memory step, uint256 start) private pure returns (bytes memory tail) {
        tail = new bytes(step.length - start);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = step[start + i];
        }
    }
}
