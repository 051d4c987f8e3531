// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SluiceExecutor} from "../src/SluiceExecutor.sol";
import {CarelessOwner, HostilePool} from "./Hostile.sol";
import {IPair, IToken, Market} from "./Market.sol";
import {vm} from "./Vm.sol";

/// @dev `executeAll`: cycles that share pools, one after the other, all or none.
contract SeveralTest is Market {
    uint128 private constant AMOUNT_IN = 10e18;

    IToken private token;
    /// @dev The cheap one sells `token`, each of the others buys it for half as much again.
    IPair private cheap;
    IPair[2] private dear;

    function setUp() public override {
        super.setUp();
        token = _newToken();
        cheap = _newPair(weth, 1000e18, token, 1000e18);
        dear[0] = _newPair(token, 1000e18, weth, 1500e18);
        dear[1] = _newPair(token, 1000e18, weth, 1500e18);
    }

    // ---------------------------------------------------------------- what it earns

    function test_each_pays_on_what_the_one_before_it_left() public {
        (bytes[] memory calls, uint256 profit) = _both();
        vm.prank(OWNER);
        executor.executeAll(calls);
        vm.assertEq(weth.balanceOf(OWNER), profit, "profit");
        vm.assertEq(weth.balanceOf(address(executor)), 0, "left");
        vm.assertEq(uint256(vm.load(address(executor), 0)), 1, "idle");
    }

    function test_both_kinds_of_calls_together() public {
        (bytes[] memory calls, uint256 profit) = _both();
        // Of the second kind: a route of nothing, which pays nothing.
        bytes[] memory three = new bytes[](3);
        (three[0], three[2]) = (calls[0], calls[1]);
        three[1] = abi.encodeCall(SluiceExecutor.executeRoute, (0, abi.encodePacked(uint8(9 << 1), uint128(1), weth)));
        vm.prank(OWNER);
        executor.executeAll(three);
        vm.assertEq(weth.balanceOf(OWNER), profit, "profit");
    }

    function test_none_at_all() public {
        vm.prank(OWNER);
        executor.executeAll(new bytes[](0));
        vm.assertEq(weth.balanceOf(OWNER), 0, "profit");
    }

    // ---------------------------------------------------------------- all or none

    function test_one_that_fails_takes_all_back_for_its_own_reason() public {
        (bytes[] memory calls,) = _both();
        // What it was sized for has been taken by the one before it.
        calls[1] = calls[0];
        vm.expectRevert(bytes("UniswapV2: K"));
        vm.prank(OWNER);
        executor.executeAll(calls);
    }

    function test_each_has_its_own_minimum() public {
        (bytes[] memory calls,) = _both();
        Hop[] memory hops = _hops(0);
        uint128 profit = hops[1].amountOut - AMOUNT_IN;
        calls[0] = _call(hops, profit + 1);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ProfitTooLow.selector, profit, profit + 1));
        vm.prank(OWNER);
        executor.executeAll(calls);
    }

    // ---------------------------------------------------------------- who may call, and what

    function test_only_owner() public {
        (bytes[] memory calls,) = _both();
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.NotOwner.selector));
        executor.executeAll(calls);
    }

    function test_nothing_but_cycles() public {
        bytes[] memory calls = new bytes[](1);
        bytes[4] memory others = [
            abi.encodeCall(SluiceExecutor.sweep, (address(weth))),
            abi.encodeCall(SluiceExecutor.allow, (address(weth), address(this), 1)),
            abi.encodeCall(SluiceExecutor.executeAll, (new bytes[](0))),
            bytes(hex"42")
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            calls[0] = others[i];
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnknownCall.selector, bytes4(others[i])));
            vm.prank(OWNER);
            executor.executeAll(calls);
        }
    }

    function test_no_reentrancy_even_through_the_owner() public {
        CarelessOwner owner = new CarelessOwner();
        executor = SluiceExecutor(_deploy("artifacts/SluiceExecutor.json", abi.encode(owner)));
        HostilePool hostile = new HostilePool();
        Hop[] memory hops = _hops(0);
        hops[1].pool = address(hostile);
        weth.transfer(address(executor), AMOUNT_IN + 1);
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (_call(hops, 0), _call(hops, 0));
        bytes memory again = abi.encodeCall(SluiceExecutor.executeAll, (calls));
        hostile.plan(address(owner), abi.encodeCall(CarelessOwner.relay, (address(executor), again)), true);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.Busy.selector));
        owner.relay(address(executor), again);
    }

    // ---------------------------------------------------------------- helpers

    /// @dev Two cycles that both buy of the cheap pool, the second on what the first leaves there, and what they earn together.
    function _both() private view returns (bytes[] memory calls, uint256 profit) {
        Hop[] memory first = _hops(0);
        Hop[] memory second = _hops(1);
        second[0].amountOut = _out(1000e18 + AMOUNT_IN, 1000e18 - first[0].amountOut);
        second[1] = _quote(dear[1], token, second[0].amountOut);
        calls = new bytes[](2);
        calls[0] = _call(first, first[1].amountOut - AMOUNT_IN);
        calls[1] = _call(second, second[1].amountOut - AMOUNT_IN);
        profit = uint256(first[1].amountOut) + second[1].amountOut - 2 * AMOUNT_IN;
    }

    function _out(uint256 reserveIn, uint256 reserveOut) private pure returns (uint128) {
        return uint128(AMOUNT_IN * 997 * reserveOut / (reserveIn * 1000 + AMOUNT_IN * 997));
    }

    function _hops(uint256 way) private view returns (Hop[] memory hops) {
        hops = new Hop[](2);
        hops[0] = _quote(cheap, weth, AMOUNT_IN);
        hops[1] = _quote(dear[way], token, hops[0].amountOut);
    }

    function _call(Hop[] memory hops, uint128 minProfit) private view returns (bytes memory) {
        return abi.encodeCall(SluiceExecutor.execute, (address(weth), AMOUNT_IN, minProfit, _pack(hops)));
    }
}
