// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PoolKey} from "../src/Protocols.sol";
import {IPair, IToken, Market} from "./Market.sol";
import {ICoin, IManager, IV3Pool, Provider, V3Deployer} from "./Provider.sol";
import {StandInCurve, StandInVault} from "./Vaults.sol";
import {vm} from "./Vm.sol";

interface IV3Factory {
    function createPool(address tokenA, address tokenB, uint24 fee) external returns (address pool);
}

/// @dev Market of every kind the executor trades with, and the words to describe a route: hops in the order of the cycle are added one by
/// one, each quoted by an undone trade. The steps are put together by each test.
abstract contract RouteMarket is Market {
    uint256 internal constant V2 = 0;
    uint256 internal constant V3 = 1;
    uint256 internal constant PANCAKE_V3 = 2;
    uint256 internal constant V4 = 3;
    uint256 internal constant BALANCER = 4;
    uint256 internal constant CURVE = 5;
    uint256 internal constant CURVE_NG = 6;
    uint256 internal constant PAY = 8;
    uint256 internal constant HOLD = 9;
    uint256 internal constant LOAN_VAULT = 10;
    uint256 internal constant LOAN_MANAGER = 11;

    uint8 internal constant FLASH = 1 << 5;
    uint8 internal constant TAKE = 1 << 5;
    uint8 internal constant UNLOCK = 1 << 6;
    uint8 internal constant INDIRECT = 1 << 7;

    address internal constant VAULT = 0xBA12222222228d8Ba445958a75a0704d566BF2C8;
    uint160 internal constant EVEN = 1 << 96;
    /// @dev sqrt(1.5) * 2^96
    uint160 internal constant HIGH = 97034285709419764884405551104;
    uint24 internal constant FEE = 3000;
    int24 internal constant SPACING = 60;

    Provider internal provider;
    IV3Factory internal v3Factory;
    V3Deployer internal pancake;
    IManager internal manager;
    StandInVault internal vault;

    uint128 internal amountIn;
    uint128 internal amount;
    bytes[] internal steps;

    function setUp() public virtual override {
        super.setUp();
        // PoolManager keeps its accounts in transient storage.
        vm.setEvmVersion("cancun");
        provider = new Provider();
        v3Factory = IV3Factory(_deploy(string.concat(UNISWAP, "v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json"), ""));
        pancake = new V3Deployer();
        bytes memory code =
            bytes.concat(_codeOf(string.concat(UNISWAP, "v4-core/out/PoolManager.sol/PoolManager.json"), ".bytecode.object"), abi.encode(this));
        address deployed;
        assembly {
            deployed := create(0, add(code, 32), mload(code))
        }
        manager = IManager(deployed);
        vm.etch(VAULT, address(new StandInVault()).code);
        vault = StandInVault(VAULT);
        vm.deal(address(provider), 1e30);
        _enrich(weth);
    }

    function _enrich(IToken token) internal {
        token.transfer(address(provider), 1e30);
        token.transfer(VAULT, 1e30);
    }

    function _richToken() internal returns (IToken token) {
        token = _newToken();
        _enrich(token);
    }

    // ---------------------------------------------------------------- pools; `generous` ones pay half as much again

    function _newV3(IToken sold, IToken bought, bool generous) internal returns (IV3Pool pool) {
        pool = IV3Pool(v3Factory.createPool(address(sold), address(bought), FEE));
        _fillV3(pool, sold, bought, generous);
    }

    function _newPancake(IToken sold, IToken bought, bool generous) internal returns (IV3Pool pool) {
        string memory path = "../.sluice/npm/node_modules/@pancakeswap/v3-core/artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json";
        pool = IV3Pool(pancake.deploy(_codeOf(path, ".bytecode"), address(sold), address(bought), FEE, SPACING));
        _fillV3(pool, sold, bought, generous);
    }

    function _fillV3(IV3Pool pool, IToken sold, IToken bought, bool generous) private {
        pool.initialize(_price(sold, bought, generous));
        provider.provideV3(pool, -60000, 60000, 1000e18);
        // A second range that ends close to either price, so that large trades cross a tick.
        provider.provideV3(pool, -4200, 4200, 5000e18);
    }

    function _newV4(address sold, address bought, bool generous) internal returns (PoolKey memory key) {
        key = PoolKey(sold < bought ? sold : bought, sold < bought ? bought : sold, FEE, SPACING, address(0));
        manager.initialize(key, _price(IToken(sold), IToken(bought), generous));
        provider.provideV4(manager, key, -60000, 60000, 1000e18);
        provider.provideV4(manager, key, -4200, 4200, 5000e18);
    }

    function _newCurve(IToken sold, IToken bought, bool generous) internal returns (StandInCurve pool) {
        pool = new StandInCurve(address(sold), address(bought), generous ? 1_500_000 : 1_000_000);
        bought.transfer(address(pool), 1e30);
    }

    function _balancerId(uint96 rate) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(0xBA1)) << 96 | rate);
    }

    function _price(IToken sold, IToken bought, bool generous) private pure returns (uint160) {
        if (!generous) return EVEN;
        return address(sold) < address(bought) ? HIGH : uint160((1 << 192) / uint256(HIGH));
    }

    // ---------------------------------------------------------------- hops

    function _start(uint128 first) internal {
        delete steps;
        (amountIn, amount) = (first, first);
    }

    function _add(bytes memory head, bytes memory rest, uint256 amountOut) private {
        amount = uint128(amountOut);
        steps.push(abi.encodePacked(head, amount, rest));
    }

    function _addV2(IPair pair, IToken sold, uint8 options) internal {
        Hop memory hop = _quote(pair, sold, amount);
        _add(abi.encodePacked(hop.flags | options), abi.encodePacked(pair), hop.amountOut);
    }

    function _addV3(IV3Pool pool, IToken sold, uint256 kind) internal {
        bool zeroForOne = address(pool.token0()) == address(sold);
        uint256 out = provider.quote(abi.encodeCall(Provider.tradeV3, (pool, zeroForOne, int256(uint256(amount)))));
        _add(_flags(kind, zeroForOne, 0), abi.encodePacked(pool), out);
    }

    function _addV4(PoolKey memory key, address sold, uint8 options) internal {
        bool zeroForOne = key.currency0 == sold;
        uint256 out = provider.quote(abi.encodeCall(Provider.tradeV4, (manager, key, zeroForOne, int256(uint256(amount)))));
        bytes memory rest = abi.encodePacked(manager, key.currency0, key.currency1, key.fee, key.tickSpacing);
        _add(_flags(V4, zeroForOne, options), rest, out);
    }

    function _addBalancer(bytes32 id, IToken sold, IToken bought) internal {
        uint256 out = provider.quote(abi.encodeCall(Provider.tradeBalancer, (id, address(sold), address(bought), amount)));
        _add(_flags(BALANCER, false, 0), abi.encodePacked(id, sold, bought), out);
    }

    function _addCurve(StandInCurve pool, IToken sold, IToken bought) internal {
        (int128 i, int128 j) = _coins(pool, sold);
        uint256 out = pool.get_dy(i, j, amount);
        bytes memory rest = abi.encodePacked(pool, uint8(uint128(i) << 4 | uint128(j)), sold, bought);
        _add(_flags(CURVE, false, 0), rest, out);
    }

    function _addCurveNg(StandInCurve pool, IToken sold) internal {
        (int128 i, int128 j) = _coins(pool, sold);
        uint256 out = pool.get_dy(i, j, amount);
        _add(_flags(CURVE_NG, false, 0), abi.encodePacked(pool, uint8(uint128(i) << 4 | uint128(j)), sold), out);
    }

    function _coins(StandInCurve pool, IToken sold) private view returns (int128, int128) {
        return pool.coins(0) == address(sold) ? (int128(0), int128(1)) : (int128(1), int128(0));
    }

    function _flags(uint256 kind, bool zeroForOne, uint8 options) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(kind << 1 | (zeroForOne ? 1 : 0)) | options);
    }

    // ---------------------------------------------------------------- routes

    function _mark(uint256 kind, uint128 value) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(kind << 1), value);
    }

    /// @dev Steps of hops `first` down to `last`.
    function _backwards(uint256 first, uint256 last) internal view returns (bytes memory packed) {
        for (uint256 i = first + 1; i > last; --i) {
            packed = bytes.concat(packed, steps[i - 1]);
        }
    }

    /// @dev The last pool lends and the first is paid from here.
    function _plainRoute(IToken token) internal view returns (bytes memory) {
        return abi.encodePacked(_backwards(steps.length - 1, 0), _mark(PAY, amountIn), token);
    }

    function _run(IToken token, uint128 minProfit, bytes memory route) internal returns (uint256 profit) {
        uint256 before = token.balanceOf(OWNER);
        vm.prank(OWNER);
        executor.executeRoute(minProfit, route);
        profit = token.balanceOf(OWNER) - before;
        vm.assertEq(token.balanceOf(address(executor)), 0, "left behind");
        vm.assertEq(uint256(vm.load(address(executor), 0)), 1, "slot 0");
    }

    /// @dev Runs a route whose minimum is its exact profit.
    function _runExactly(IToken token, bytes memory route) internal {
        vm.assertTrue(amount > amountIn, "the cycle does not pay");
        vm.assertEq(_run(token, amount - amountIn, route), amount - amountIn, "profit");
    }
}
