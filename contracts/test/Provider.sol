// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBalancerVault, ICurveNgPool, ICurvePool, IPoolManager, IUniswapV3Pool, PoolKey, SwapParams} from "../src/Protocols.sol";

interface ICoin {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
}

interface IV3Pool is IUniswapV3Pool {
    function token0() external view returns (ICoin);
    function token1() external view returns (ICoin);
    function initialize(uint160 sqrtPriceX96) external;
    function mint(address to, int24 lower, int24 upper, uint128 amount, bytes calldata data) external returns (uint256, uint256);
}

struct ModifyLiquidityParams {
    int24 tickLower;
    int24 tickUpper;
    int256 liquidityDelta;
    bytes32 salt;
}

interface IManager is IPoolManager {
    function initialize(PoolKey memory key, uint160 sqrtPriceX96) external returns (int24 tick);
    function modifyLiquidity(PoolKey memory key, ModifyLiquidityParams memory params, bytes calldata hookData)
        external
        returns (int256 delta, int256 fees);
}

/// @dev Provides liquidity and trades, with whatever tokens it was given: the plainest caller each protocol can have. Anybody may use it.
/// Its trades, undone, are what tests take a pool's quotes from.
contract Provider {
    address private constant VAULT = 0xBA12222222228d8Ba445958a75a0704d566BF2C8;

    error Undone(bytes answer);

    receive() external payable {}

    /// @notice What a trade would give: `trade` is a call of one of the functions below.
    function quote(bytes calldata trade) external returns (uint256 amountOut) {
        try this.tradeAndUndo(trade) {}
        catch (bytes memory reason) {
            if (bytes4(reason) != Undone.selector) {
                assembly {
                    revert(add(reason, 32), mload(reason))
                }
            }
            assembly {
                amountOut := mload(add(reason, 100))
            }
        }
    }

    function tradeAndUndo(bytes calldata trade) external {
        (bool ok, bytes memory answer) = address(this).call(trade);
        if (ok) revert Undone(answer);
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }

    // ---------------------------------------------------------------- Uniswap V3, PancakeSwap V3

    function provideV3(IV3Pool pool, int24 lower, int24 upper, uint128 amount) external {
        pool.mint(address(this), lower, upper, amount, "");
    }

    function tradeV3(IV3Pool pool, bool zeroForOne, int256 amountIn) external returns (uint256) {
        (int256 amount0, int256 amount1) = pool.swap(address(this), zeroForOne, amountIn, _limit(zeroForOne), "");
        return uint256(-(zeroForOne ? amount1 : amount0));
    }

    function uniswapV3MintCallback(uint256 amount0, uint256 amount1, bytes calldata) external {
        _pay(int256(amount0), int256(amount1));
    }

    function pancakeV3MintCallback(uint256 amount0, uint256 amount1, bytes calldata) external {
        _pay(int256(amount0), int256(amount1));
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        _pay(amount0, amount1);
    }

    function pancakeV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        _pay(amount0, amount1);
    }

    function _pay(int256 amount0, int256 amount1) private {
        if (amount0 > 0) IV3Pool(msg.sender).token0().transfer(msg.sender, uint256(amount0));
        if (amount1 > 0) IV3Pool(msg.sender).token1().transfer(msg.sender, uint256(amount1));
    }

    // ---------------------------------------------------------------- Uniswap V4

    function provideV4(IManager manager, PoolKey memory key, int24 lower, int24 upper, uint128 amount) external {
        _inside(manager, key, abi.encodeCall(manager.modifyLiquidity, (key, ModifyLiquidityParams(lower, upper, int256(uint256(amount)), 0), "")));
    }

    function tradeV4(IManager manager, PoolKey memory key, bool zeroForOne, int256 amountIn) external returns (uint256) {
        (int128 amount0, int128 amount1) =
            _inside(manager, key, abi.encodeCall(manager.swap, (key, SwapParams(zeroForOne, -amountIn, _limit(zeroForOne)), "")));
        return uint256(int256(zeroForOne ? amount1 : amount0));
    }

    function _inside(IManager manager, PoolKey memory key, bytes memory action) private returns (int128, int128) {
        return abi.decode(manager.unlock(abi.encode(key, action)), (int128, int128));
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (PoolKey memory key, bytes memory action) = abi.decode(data, (PoolKey, bytes));
        (bool ok, bytes memory answer) = msg.sender.call(action);
        require(ok, "the manager refused");
        int256 delta;
        assembly {
            delta := mload(add(answer, 32))
        }
        (int128 amount0, int128 amount1) = (int128(delta >> 128), int128(delta));
        _settle(IManager(msg.sender), key.currency0, amount0);
        _settle(IManager(msg.sender), key.currency1, amount1);
        return abi.encode(amount0, amount1);
    }

    function _settle(IManager manager, address currency, int256 amount) private {
        if (amount > 0) return manager.take(currency, address(this), uint256(amount));
        manager.sync(currency);
        if (currency == address(0)) {
            (bool ok,) = address(manager).call{value: uint256(-amount)}(abi.encodeCall(manager.settle, ()));
            require(ok, "no settlement");
        } else {
            ICoin(currency).transfer(address(manager), uint256(-amount));
            manager.settle();
        }
    }

    // ---------------------------------------------------------------- Balancer, Curve

    function tradeBalancer(bytes32 poolId, address sold, address bought, uint256 amountIn) external returns (uint256) {
        ICoin(sold).approve(VAULT, amountIn);
        return IBalancerVault(VAULT).swap(
            IBalancerVault.SingleSwap(poolId, 0, sold, bought, amountIn, ""),
            IBalancerVault.FundManagement(address(this), false, address(this), false),
            0,
            type(uint256).max
        );
    }

    function tradeCurve(address pool, int128 i, int128 j, ICoin sold, ICoin bought, uint256 amountIn) external returns (uint256) {
        uint256 before = bought.balanceOf(address(this));
        sold.approve(pool, amountIn);
        ICurvePool(pool).exchange(i, j, amountIn, 0);
        return bought.balanceOf(address(this)) - before;
    }

    function tradeCurveNg(address pool, int128 i, int128 j, ICoin sold, uint256 amountIn) external returns (uint256) {
        sold.approve(pool, amountIn);
        return ICurveNgPool(pool).exchange(i, j, amountIn, 0, address(this));
    }

    function _limit(bool zeroForOne) private pure returns (uint160) {
        return zeroForOne ? 4295128740 : 1461446703485210103287273052203988822378723970341;
    }
}

/// @dev Answers a V3 pool's constructor with the pool's parameters: the place of a factory, or of PancakeSwap's deployer, which its npm
/// package lacks. It answers the owner question of pools as well.
contract V3Deployer {
    struct Parameters {
        address factory;
        address token0;
        address token1;
        uint24 fee;
        int24 tickSpacing;
    }

    Parameters public parameters;
    address public immutable owner = msg.sender;

    function deploy(bytes memory code, address tokenA, address tokenB, uint24 fee, int24 spacing) external returns (address pool) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        parameters = Parameters(address(this), token0, token1, fee, spacing);
        assembly {
            pool := create(0, add(code, 32), mload(code))
        }
        require(pool != address(0), "no pool");
    }
}
