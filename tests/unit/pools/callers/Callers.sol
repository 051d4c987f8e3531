// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

// What a test needs around the real pool contracts: coins without limits, a deployer, and callers that pay what a pool asks for.

contract Coin {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] = amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        require(balanceOf[msg.sender] >= amount, "poor");
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// Answers a V3 pool's constructor with the pool's parameters, and its owner question afterwards.
contract Deployer {
    struct Parameters {
        address factory;
        address token0;
        address token1;
        uint24 fee;
        int24 tickSpacing;
    }

    Parameters public parameters;

    function deploy(bytes memory code, address token0, address token1, uint24 fee, int24 spacing)
        external
        returns (address pool)
    {
        parameters = Parameters(address(this), token0, token1, fee, spacing);
        bytes32 salt = keccak256(abi.encode(token0, token1, fee));
        assembly {
            pool := create2(0, add(code, 32), mload(code), salt)
        }
        require(pool != address(0), "no pool");
    }

    function owner() external view returns (address) {
        return tx.origin;
    }
}

/// What a PancakeSwap pool calls during swaps, with storage of its own.
contract Farm {
    uint256 public rewarded;
    mapping(int24 => uint256) public crossed;

    function accumulateReward(uint32) external {
        rewarded += 1;
    }

    function crossLmTick(int24 tick, bool) external {
        crossed[tick] += 1;
    }
}

interface V3 {
    function token0() external view returns (Coin);
    function token1() external view returns (Coin);
    function mint(address to, int24 lower, int24 upper, uint128 amount, bytes calldata data)
        external
        returns (uint256, uint256);
    function burn(int24 lower, int24 upper, uint128 amount) external returns (uint256, uint256);
    function swap(address to, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data)
        external
        returns (int256, int256);
}

contract V3Caller {
    function mint(V3 pool, int24 lower, int24 upper, uint128 amount) external returns (uint256, uint256) {
        return pool.mint(address(this), lower, upper, amount, "");
    }

    function burn(V3 pool, int24 lower, int24 upper, uint128 amount) external returns (uint256, uint256) {
        return pool.burn(lower, upper, amount);
    }

    function swap(V3 pool, bool zeroForOne, int256 amount, uint160 limit) external returns (int256, int256) {
        return pool.swap(address(this), zeroForOne, amount, limit, "");
    }

    fallback(bytes calldata input) external returns (bytes memory) {
        // The callbacks of both protocols, for swaps and mints: two amounts and bytes.
        (int256 amount0, int256 amount1) = abi.decode(input[4:], (int256, int256));
        if (amount0 > 0) V3(msg.sender).token0().transfer(msg.sender, uint256(amount0));
        if (amount1 > 0) V3(msg.sender).token1().transfer(msg.sender, uint256(amount1));
        return "";
    }
}

struct Key {
    address currency0;
    address currency1;
    uint24 fee;
    int24 tickSpacing;
    address hooks;
}

struct Change {
    int24 tickLower;
    int24 tickUpper;
    int256 liquidityDelta;
    bytes32 salt;
}

struct Trade {
    bool zeroForOne;
    int256 amountSpecified;
    uint160 sqrtPriceLimitX96;
}

interface Manager {
    function unlock(bytes calldata data) external returns (bytes memory);
    function modifyLiquidity(Key memory key, Change memory change, bytes calldata data)
        external
        returns (int256 delta, int256 fees);
    function swap(Key memory key, Trade memory trade, bytes calldata data) external returns (int256 delta);
    function sync(address currency) external;
    function settle() external payable returns (uint256);
    function take(address currency, address to, uint256 amount) external;
}

contract V4Caller {
    function modify(Manager manager, Key memory key, Change memory change) external returns (int128, int128) {
        return _unlock(manager, abi.encode(true, key, change, Trade(false, 0, 0)));
    }

    function swap(Manager manager, Key memory key, Trade memory trade) external returns (int128, int128) {
        return _unlock(manager, abi.encode(false, key, Change(0, 0, 0, 0), trade));
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (bool modifies, Key memory key, Change memory change, Trade memory trade) =
            abi.decode(data, (bool, Key, Change, Trade));
        Manager manager = Manager(msg.sender);
        int256 delta;
        if (modifies) (delta,) = manager.modifyLiquidity(key, change, "");
        else delta = manager.swap(key, trade, "");
        int128 amount0 = int128(delta >> 128);
        int128 amount1 = int128(delta);
        _clear(manager, key.currency0, amount0);
        _clear(manager, key.currency1, amount1);
        return abi.encode(amount0, amount1);
    }

    function _unlock(Manager manager, bytes memory data) internal returns (int128, int128) {
        return abi.decode(manager.unlock(data), (int128, int128));
    }

    function _clear(Manager manager, address currency, int128 amount) internal {
        if (amount > 0) manager.take(currency, address(this), uint128(amount));
        if (amount < 0) {
            manager.sync(currency);
            Coin(currency).transfer(address(manager), uint256(-int256(amount)));
            manager.settle();
        }
    }
}
