// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Built for the "istanbul" EVM (see build.py): no PUSH0 (Shanghai), no TSTORE and no MCOPY (Cancun), no BASEFEE (London). The same
// bytes must run on recorded Istanbul, Berlin and London mainnet state as well as on today's chain.

interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

interface IUniswapV2Pair {
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title Executor of cyclic routes over Uniswap V2 pools, without inventory
/// @notice A cycle starts and ends in `token`. The last pool is asked first, as a flash swap: it hands over its output, the callback pays
/// `amountIn` of it to the first pool, each pool sends its output straight to the next one, and the last but one thereby repays the flash
/// pool. What is left of the flash pool's output is the profit and goes to the owner. n hops cost n + 1 token transfers and the profit's.
/// @dev Output amounts come in calldata, computed off chain: a pool that moved since then fails its own K check and everything reverts.
contract SluiceExecutor {
    /// @dev Slot 0: IDLE, or during `execute` first the pool that may call back, then PAYING. It is both the callback's gate and the
    /// reentrancy lock, and never 0, so that writing it does not pay for a fresh slot.
    address private expected = IDLE;

    address private constant IDLE = address(1);
    address private constant PAYING = address(2);

    address public immutable owner;

    /// @dev One hop, packed: 1 byte of flags (bit 0: zeroForOne; bits 1 to 7: kind), 20 bytes pool, 16 bytes amountOut.
    uint256 private constant HOP_BYTES = 37;
    uint256 private constant MIN_HOPS = 2;
    uint256 private constant MAX_HOPS = 8;
    uint256 private constant KIND_V2 = 0;

    /// @dev The flash swap's data, packed: 20 bytes token, 16 bytes amountIn, then the hops.
    uint256 private constant HEAD_BYTES = 36;

    error NotOwner();
    error Busy();
    error BadHops(uint256 length);
    error UnknownKind(uint256 kind);
    error UnexpectedCallback(address caller, address sender);
    error CallbackMissing(address pool);
    error TransferFailed(address token);
    error ProfitTooLow(uint256 got, uint256 min);

    constructor(address owner_) {
        owner = owner_;
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    /// @notice Runs one cycle and sends all of `token` it leaves here to the owner.
    /// @param token The token the cycle starts and ends in.
    /// @param amountIn What the first pool is paid, in base units of `token`.
    /// @param minProfit The least increase of the owner's balance of `token`, in base units; less reverts with ProfitTooLow.
    /// @param hops 2 to 8 packed hops in the order of the cycle. The last pool is locked meanwhile and cannot appear twice.
    function execute(address token, uint128 amountIn, uint128 minProfit, bytes calldata hops) external onlyOwner {
        if (expected != IDLE) revert Busy();
        uint256 count = hops.length / HOP_BYTES;
        if (count < MIN_HOPS || count > MAX_HOPS || hops.length % HOP_BYTES != 0) revert BadHops(hops.length);

        uint256 before = IERC20(token).balanceOf(owner);

        address flashPool = _pool(hops, count - 1);
        expected = flashPool;
        _swap(hops, count - 1, address(this), abi.encodePacked(token, amountIn, hops));
        if (expected != PAYING) revert CallbackMissing(flashPool);

        _transfer(token, owner, IERC20(token).balanceOf(address(this)));
        uint256 got = IERC20(token).balanceOf(owner) - before;
        if (got < minProfit) revert ProfitTooLow(got, minProfit);
        expected = IDLE;
    }

    /// @notice The flash pool's callback: pays the first pool and walks the cycle up to the flash pool.
    /// @dev `data` is trusted because only the pool named by `execute` gets here, once. Even if it lies it can move nothing but what this
    /// contract holds during the call, and the owner's minimum profit is checked afterwards.
    function uniswapV2Call(address sender, uint256, uint256, bytes calldata data) external {
        if (msg.sender != expected || sender != address(this)) revert UnexpectedCallback(msg.sender, sender);
        expected = PAYING;

        bytes calldata hops = data[HEAD_BYTES:];
        uint256 last = hops.length / HOP_BYTES - 1;
        _transfer(address(bytes20(data[:20])), _pool(hops, 0), uint128(bytes16(data[20:HEAD_BYTES])));
        for (uint256 i = 0; i < last; ++i) {
            _swap(hops, i, _pool(hops, i + 1), "");
        }
    }

    /// @notice Sends tokens that strayed here to the owner.
    function sweep(address token) external onlyOwner {
        _transfer(token, owner, IERC20(token).balanceOf(address(this)));
    }

    function _swap(bytes calldata hops, uint256 index, address to, bytes memory data) private {
        (uint256 flags, address pool, uint256 amountOut) = _hop(hops, index);
        if (flags >> 1 != KIND_V2) revert UnknownKind(flags >> 1);
        bool zeroForOne = flags & 1 == 1;
        IUniswapV2Pair(pool).swap(zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, to, data);
    }

    function _pool(bytes calldata hops, uint256 index) private pure returns (address pool) {
        (, pool,) = _hop(hops, index);
    }

    /// @dev Words instead of slices save more than 900 gas a hop. `execute` checked the length; beyond its end calldata reads as zero.
    function _hop(bytes calldata hops, uint256 index) private pure returns (uint256 flags, address pool, uint256 amountOut) {
        assembly ("memory-safe") {
            let hop := add(hops.offset, mul(index, HOP_BYTES))
            flags := byte(0, calldataload(hop))
            pool := shr(96, calldataload(add(hop, 1)))
            amountOut := shr(128, calldataload(add(hop, 21)))
        }
    }

    /// @dev A success is "true" or no answer at all (USDT). That `token` has code is known from the balance read before.
    function _transfer(address token, address to, uint256 amount) private {
        (bool ok, bytes memory answer) = token.call(abi.encodeCall(IERC20.transfer, (to, amount)));
        if (!ok || (answer.length != 0 && !abi.decode(answer, (bool)))) revert TransferFailed(token);
    }
}
