// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IUniswapV2Pair} from "../src/Protocols.sol";
import {SluiceExecutor} from "../src/SluiceExecutor.sol";
import {vm} from "./Vm.sol";

interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
}

interface IWETH is IToken {
    function deposit() external payable;
}

interface IPair is IUniswapV2Pair {
    function token0() external view returns (address);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
    function mint(address to) external returns (uint256 liquidity);
}

interface IFactory {
    function createPair(address tokenA, address tokenB) external returns (address pair);
}

/// @dev A market of the deployed Uniswap V2 bytecode, the executor's committed artifact, and the words to describe a cycle.
abstract contract Market {
    struct Hop {
        uint8 flags;
        address pool;
        uint128 amountOut;
    }

    address internal constant OWNER = address(0xA11CE);
    string internal constant UNISWAP = "../.sluice/npm/node_modules/@uniswap/";

    IWETH internal weth;
    IFactory internal factory;
    SluiceExecutor internal executor;

    function setUp() public virtual {
        weth = IWETH(_deploy(string.concat(UNISWAP, "v2-periphery/build/WETH9.json"), ""));
        factory = IFactory(_deploy(string.concat(UNISWAP, "v2-core/build/UniswapV2Factory.json"), abi.encode(address(0))));
        executor = SluiceExecutor(_deploy("artifacts/SluiceExecutor.json", abi.encode(OWNER)));
        vm.deal(address(this), type(uint128).max);
        weth.deposit{value: type(uint128).max}();
    }

    /// @dev Deploys the creation code of a build file.
    function _deploy(string memory path, bytes memory arguments) internal returns (address deployed) {
        bytes memory code = bytes.concat(_codeOf(path, ".bytecode"), arguments);
        assembly {
            deployed := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(deployed != address(0), path);
    }

    /// @dev Uniswap's V2 files write code without "0x".
    function _codeOf(string memory path, string memory key) internal view returns (bytes memory) {
        string memory hexCode = vm.parseJsonString(vm.readFile(path), key);
        return vm.parseBytes(bytes(hexCode)[1] == "x" ? hexCode : string.concat("0x", hexCode));
    }

    /// @dev The ERC-20 of v2-core's own tests; all of the supply is ours.
    function _newToken() internal returns (IToken) {
        return IToken(_deploy(string.concat(UNISWAP, "v2-core/build/ERC20.json"), abi.encode(type(uint128).max)));
    }

    function _newPair(IToken tokenIn, uint256 reserveIn, IToken tokenOut, uint256 reserveOut) internal returns (IPair pair) {
        // A factory makes one pair per couple of tokens; the second comes from a fork of it, as SushiSwap's does.
        try factory.createPair(address(tokenIn), address(tokenOut)) returns (address made) {
            pair = IPair(made);
        } catch {
            address fork = _deploy(string.concat(UNISWAP, "v2-core/build/UniswapV2Factory.json"), abi.encode(address(0)));
            pair = IPair(IFactory(fork).createPair(address(tokenIn), address(tokenOut)));
        }
        tokenIn.transfer(address(pair), reserveIn);
        tokenOut.transfer(address(pair), reserveOut);
        pair.mint(address(this));
    }

    /// @dev The exact answer of UniswapV2Library.getAmountOut: 0.3 % fee on the input, rounded down.
    function _quote(IPair pair, IToken tokenIn, uint256 amountIn) internal view returns (Hop memory) {
        (uint256 reserveIn, uint256 reserveOut,) = pair.getReserves();
        bool zeroForOne = pair.token0() == address(tokenIn);
        if (!zeroForOne) (reserveIn, reserveOut) = (reserveOut, reserveIn);
        uint256 amountOut = amountIn * 997 * reserveOut / (reserveIn * 1000 + amountIn * 997);
        return Hop(zeroForOne ? 1 : 0, address(pair), uint128(amountOut));
    }

    /// @dev The hops of a cycle through `pairs`, each selling the token of the same index.
    function _quoteAll(IPair[] memory pairs, IToken[] memory tokens, uint256 amountIn) internal view returns (Hop[] memory hops) {
        hops = new Hop[](pairs.length);
        for (uint256 i = 0; i < pairs.length; ++i) {
            hops[i] = _quote(pairs[i], tokens[i], i == 0 ? amountIn : hops[i - 1].amountOut);
        }
    }

    function _pack(Hop[] memory hops) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < hops.length; ++i) {
            packed = abi.encodePacked(packed, hops[i].flags, hops[i].pool, hops[i].amountOut);
        }
    }
}
