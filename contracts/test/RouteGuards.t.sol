// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SluiceExecutor} from "../src/SluiceExecutor.sol";
import {CarelessOwner, Puppet} from "./Hostile.sol";
import {IPair, IToken} from "./Market.sol";
import {RouteMarket} from "./RouteMarket.sol";
import {vm} from "./Vm.sol";

interface IVault {
    function flashLoan(address recipient, address[] memory tokens, uint256[] memory amounts, bytes memory data) external;
}

/// @dev Who gets into the callbacks, and what a hostile pool or token can do from there.
contract RouteGuardsTest is RouteMarket {
    uint128 private constant AMOUNT_IN = 1e18;
    // The kinds of calls the executor expects to be called back from, by the step that makes them.
    uint256 private constant CALLERS = 5;

    IToken private a;

    function setUp() public override {
        super.setUp();
        a = _richToken();
    }

    // ---------------------------------------------------------------- who may call

    function test_only_owner() public {
        bytes memory route = abi.encodePacked(_mark(PAY, 1), weth);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.NotOwner.selector));
        executor.executeRoute(0, route);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.NotOwner.selector));
        executor.allow(address(weth), address(this), 1);
    }

    function test_callbacks_from_strangers_and_sentinels() public {
        for (uint160 caller = 0; caller < 4; ++caller) {
            for (uint256 kind = 0; kind < CALLERS; ++kind) {
                address from = caller == 3 ? VAULT : address(caller);
                vm.prank(from);
                vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, from, executor));
                (bool ok,) = address(executor).call(_callback(kind, abi.encodePacked(_mark(PAY, 1), weth)));
                ok;
            }
        }
    }

    /// @dev The Vault lends to anybody in anybody's name; pools call back whom they pay.
    function test_callbacks_that_somebody_else_asked_for() public {
        weth.transfer(address(executor), 5);
        bytes memory theft = abi.encodePacked(_mark(PAY, 5), weth);
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (address(weth), 1);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, VAULT, executor));
        IVault(VAULT).flashLoan(address(executor), tokens, amounts, theft);

        IPair pair = _newPair(weth, 1000e18, a, 1000e18);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, pair, this));
        pair.swap(1, 0, address(executor), theft);
    }

    function test_callback_of_every_kind_but_the_expected_one() public {
        for (uint256 asked = 0; asked < CALLERS; ++asked) {
            for (uint256 given = 0; given < CALLERS; ++given) {
                if (asked == given) continue;
                (Puppet puppet, bytes memory route) = _puppetStep(asked);
                puppet.plan(address(executor), _callback(given, abi.encodePacked(_mark(HOLD, 1), weth)));
                vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, puppet, executor));
                vm.prank(OWNER);
                executor.executeRoute(0, route);
            }
        }
    }

    function test_callback_of_another_contract_than_the_expected_one() public {
        for (uint256 asked = 0; asked < CALLERS; ++asked) {
            (Puppet puppet, bytes memory route) = _puppetStep(asked);
            Puppet friend = new Puppet();
            friend.plan(address(executor), _callback(asked, abi.encodePacked(_mark(HOLD, 1), weth)));
            puppet.plan(address(friend), "0000");
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, friend, executor));
            vm.prank(OWNER);
            executor.executeRoute(0, route);
        }
    }

    function test_callback_in_the_name_of_somebody_else() public {
        (Puppet puppet, bytes memory route) = _puppetStep(0);
        bytes memory rest = abi.encodePacked(_mark(HOLD, 1), weth);
        puppet.plan(address(executor), abi.encodeCall(executor.uniswapV2Call, (address(this), 1, 0, rest)));
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, puppet, this));
        vm.prank(OWNER);
        executor.executeRoute(0, route);
    }

    function test_second_callback() public {
        for (uint256 asked = 0; asked < CALLERS; ++asked) {
            (Puppet puppet, bytes memory route) = _puppetStep(asked);
            bytes memory callback = _callback(asked, _held(asked));
            puppet.plan(address(executor), callback);
            puppet.plan(address(executor), callback);
            puppet.say(abi.encode(0, 0));
            weth.transfer(address(executor), 10);
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnexpectedCallback.selector, puppet, executor));
            vm.prank(OWNER);
            executor.executeRoute(0, route);
        }
    }

    function test_no_callback() public {
        for (uint256 asked = 0; asked < CALLERS; ++asked) {
            (Puppet puppet, bytes memory route) = _puppetStep(asked);
            puppet.say(abi.encode(0, 0));
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.CallbackMissing.selector, puppet));
            vm.prank(OWNER);
            executor.executeRoute(0, route);
        }
    }

    function test_no_reentrancy_even_through_the_owner() public {
        CarelessOwner owner = new CarelessOwner();
        executor = SluiceExecutor(_deploy("artifacts/SluiceExecutor.json", abi.encode(owner)));
        for (uint256 asked = 0; asked < CALLERS; ++asked) {
            for (uint256 late = 0; late < 2; ++late) {
                (Puppet puppet, bytes memory route) = _puppetStep(asked);
                weth.transfer(address(executor), 10);
                if (late == 1) puppet.plan(address(executor), _callback(asked, _held(asked)));
                bytes memory again = late == 0
                    ? abi.encodeCall(executor.executeRoute, (0, route))
                    : abi.encodeCall(executor.execute, (address(weth), 1, 0, new bytes(74)));
                puppet.plan(address(owner), abi.encodeCall(CarelessOwner.relay, (address(executor), again)));
                vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.Busy.selector));
                owner.relay(address(executor), abi.encodeCall(executor.executeRoute, (0, route)));
            }
        }
    }

    // ---------------------------------------------------------------- what a hostile pool gets

    /// @dev A pool that changes what it hands back can spend what is here now, and then the owner's minimum is missed.
    function test_lying_pool_cannot_take_the_profit() public {
        Puppet puppet = new Puppet();
        _start(AMOUNT_IN);
        bytes memory hostile = abi.encodePacked(uint8(V3 << 1 | 1), AMOUNT_IN, puppet);
        amount = AMOUNT_IN;
        _addV3(_newV3(a, weth, true), a, V3);
        uint128 profit = amount - AMOUNT_IN;
        // It has itself paid all of the flash output instead of its input.
        puppet.plan(address(executor), _callback(1, abi.encodePacked(_mark(PAY, amount), weth)));
        puppet.plan(address(a), abi.encodeCall(a.transfer, (_poolOf(steps[0]), AMOUNT_IN)));
        puppet.say(abi.encode(int256(uint256(AMOUNT_IN)), -int256(uint256(AMOUNT_IN))));
        a.transfer(address(puppet), AMOUNT_IN);
        bytes memory route = abi.encodePacked(steps[0], hostile, _mark(PAY, AMOUNT_IN), weth);
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ProfitTooLow.selector, 0, profit));
        vm.prank(OWNER);
        executor.executeRoute(profit, route);
    }

    function test_hostile_token_cannot_get_in_while_it_is_moved() public {
        for (uint256 kind = 0; kind < CALLERS; ++kind) {
            NosyToken nosy = new NosyToken();
            IToken token = IToken(address(nosy));
            nosy.mint(address(this), 1e40);
            _enrich(token);
            _start(AMOUNT_IN);
            _addV3(_newV3(weth, token, false), weth, V3);
            _addV2(_newPair(token, 1000e18, weth, 1500e18), token, FLASH);
            bytes memory route = _plainRoute(weth);
            nosy.plan(address(executor), _callback(kind, abi.encodePacked(_mark(PAY, 1), weth)));
            vm.expectRevert();
            vm.prank(OWNER);
            executor.executeRoute(0, route);
        }
    }

    // ---------------------------------------------------------------- malformed routes

    function test_unknown_kinds() public {
        uint8[5] memory kinds = [7, 12, 13, 14, 15];
        for (uint256 i = 0; i < kinds.length; ++i) {
            bytes memory route = abi.encodePacked(kinds[i] << 1, uint128(1), weth);
            vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.UnknownKind.selector, kinds[i]));
            vm.prank(OWNER);
            executor.executeRoute(0, route);
        }
    }

    function testFuzz_routes_cut_short_revert(uint256 seed) public {
        _start(AMOUNT_IN);
        _addV3(_newV3(weth, a, false), weth, V3);
        _addV2(_newPair(a, 1000e18, weth, 1500e18), a, FLASH);
        bytes memory route = _plainRoute(weth);
        uint256 length = seed % route.length;
        assembly {
            mstore(route, length)
        }
        vm.expectRevert();
        vm.prank(OWNER);
        executor.executeRoute(0, route);
    }

    function test_route_of_nothing_pays_nothing() public {
        bytes memory route = abi.encodePacked(_mark(PAY, 1), weth);
        vm.assertEq(_run(weth, 0, route), 0, "profit");
        vm.expectRevert(abi.encodeWithSelector(SluiceExecutor.ProfitTooLow.selector, 0, 1));
        vm.prank(OWNER);
        executor.executeRoute(1, route);
    }

    // ---------------------------------------------------------------- helpers

    /// @dev A route of one step whose contract is a puppet, which is expected to call back.
    function _puppetStep(uint256 asked) private returns (Puppet puppet, bytes memory route) {
        bytes memory rest = abi.encodePacked(_mark(HOLD, 1), weth);
        if (asked == 4) {
            // The Vault is known by its address.
            vm.etch(VAULT, address(new Puppet()).code);
            puppet = Puppet(payable(VAULT));
            puppet.forget();
            return (puppet, abi.encodePacked(_mark(LOAN_VAULT, 1), rest));
        }
        puppet = new Puppet();
        if (asked == 0) route = abi.encodePacked(uint8(V2 << 1 | FLASH), uint128(1), puppet, rest);
        else if (asked == 3) route = abi.encodePacked(_mark(LOAN_MANAGER, 1), puppet, rest);
        else route = abi.encodePacked(uint8(asked << 1), uint128(1), puppet, rest);
    }

    /// @dev What the callback's data has to be for the run to go on.
    function _held(uint256 asked) private returns (bytes memory) {
        bytes memory held = abi.encodePacked(_mark(HOLD, 1), weth);
        if (asked != 3) return held;
        Puppet manager_ = new Puppet();
        manager_.say(abi.encode(0));
        return abi.encodePacked(executor, _mark(LOAN_MANAGER, 1), manager_, held);
    }

    function _callback(uint256 kind, bytes memory data) private view returns (bytes memory) {
        if (kind == 0) return abi.encodeCall(executor.uniswapV2Call, (address(executor), 1, 0, data));
        if (kind == 1) return abi.encodeCall(executor.uniswapV3SwapCallback, (1, 1, data));
        if (kind == 2) return abi.encodeCall(executor.pancakeV3SwapCallback, (1, 1, data));
        if (kind == 3) return abi.encodeCall(executor.unlockCallback, (data));
        uint256[] memory amounts = new uint256[](1);
        return abi.encodeCall(executor.receiveFlashLoan, (new address[](1), amounts, amounts, data));
    }

    function _poolOf(bytes memory step) private pure returns (address pool) {
        assembly {
            pool := mload(add(step, 37))
        }
    }
}

/// @dev Calls somebody while it is being moved.
contract NosyToken {
    mapping(address => uint256) public balanceOf;
    address private target;
    bytes private message;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function plan(address target_, bytes calldata message_) external {
        (target, message) = (target_, message_);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        if (target != address(0)) {
            (bool ok,) = target.call(message);
            require(ok, "not let in");
        }
        return true;
    }
}
