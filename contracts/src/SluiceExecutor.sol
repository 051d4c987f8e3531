// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    IBalancerVault,
    ICurveNgPool,
    ICurvePool,
    IERC20,
    IPoolManager,
    IUniswapV2Pair,
    IUniswapV3Pool,
    PoolKey,
    SwapParams
} from "./Protocols.sol";

// Built for the "istanbul" EVM (see build.py): no PUSH0 (Shanghai), no TSTORE and no MCOPY (Cancun), no BASEFEE (London). The same
// bytes must run on recorded Istanbul, Berlin and London mainnet state as well as on today's chain.

/// @title Executor of cyclic routes over pools of several protocols, without inventory
/// @notice `execute` runs cycles of Uniswap V2 pools only, the cheapest way: the last pool is asked first, as a flash swap, its output pays the
/// first pool, each pool sends its output straight to the next one, and the last but one thereby repays the flash pool.
/// `executeRoute` runs cycles over any mix. It goes through the cycle backwards: each step is told where its output has to go, and asks the
/// step before it for its input. Pools that hand over their output first (flash swaps, Uniswap V3 and V4) make that request in their
/// callback, so that inputs go from pool to pool and never rest here. In both, what is left of `token` is the profit and goes to the owner.
/// `executeAll` runs several of these calls as one.
/// @dev Output amounts come in calldata, computed off chain: a pool that moved since then fails its own check or ours, and everything reverts.
contract SluiceExecutor {
    /// @dev Slot 0: IDLE; during a run the contract that may call back now (with its step's kind + 1 above the address if the run is one of
    /// `executeRoute`), or PAYING where none may. It is both the callbacks' gate and the reentrancy lock, and never 0, so that writing it
    /// does not pay for a fresh slot.
    uint256 private expected = IDLE;

    uint256 private constant IDLE = 1;
    uint256 private constant PAYING = 2;

    address public immutable owner;

    /// @dev One hop of `execute`, packed: 1 byte of flags (bit 0: zeroForOne; bits 1 to 7: kind), 20 bytes pool, 16 bytes amountOut.
    uint256 private constant HOP_BYTES = 37;
    uint256 private constant MIN_HOPS = 2;
    uint256 private constant MAX_HOPS = 8;

    /// @dev The data of `execute`'s flash swap, packed: 20 bytes token, 16 bytes amountIn, then the hops.
    uint256 private constant HEAD_BYTES = 36;

    // A route of `executeRoute` is a row of steps, the last of the cycle first, and behind them 20 bytes of token. A step is
    // 1 byte of flags (bit 0: zeroForOne; bits 1 to 4: kind; bits 5 to 7: options of the kind) and 16 bytes of amount, which for a pool is its
    // output; a pool's input is the amount of the step behind it. Then, by kind:
    uint256 private constant V2 = 0; // 20 bytes pool
    uint256 private constant V3 = 1; // 20 bytes pool
    uint256 private constant PANCAKE_V3 = 2; // 20 bytes pool
    uint256 private constant V4 = 3; // 20 bytes manager, 20 currency0, 20 currency1, 3 fee, 3 tick spacing; no hooks
    uint256 private constant BALANCER = 4; // 32 bytes pool id, 20 asset in, 20 asset out
    uint256 private constant CURVE = 5; // 20 bytes pool, 1 byte of coin indices (4 bits in, 4 bits out), 20 coin in, 20 coin out
    uint256 private constant CURVE_NG = 6; // 20 bytes pool, 1 byte of coin indices, 20 coin in
    uint256 private constant PAY = 8; // the executor pays `token` it holds, which the steps behind this one bring, if there are any
    uint256 private constant HOLD = 9; // nothing to do: the input is here already
    uint256 private constant LOAN_VAULT = 10; // flash loan of `token` from the Balancer Vault
    uint256 private constant LOAN_MANAGER = 11; // 20 bytes manager: the same from a Uniswap V4 PoolManager

    uint256 private constant TOKEN_BYTES = 20;
    uint256 private constant MARK_BYTES = 17;
    uint256 private constant POOL_BYTES = 37;
    uint256 private constant V4_BYTES = 83;
    uint256 private constant BALANCER_BYTES = 89;
    uint256 private constant CURVE_BYTES = 78;
    uint256 private constant CURVE_NG_BYTES = 58;

    /// @dev V2: take the output first, as a flash swap.
    uint256 private constant FLASH = 1 << 5;
    /// @dev V4: take the output out of the manager; without it, the output stays there as the input of the V4 step in front of this one.
    uint256 private constant TAKE = 1 << 5;
    /// @dev V4: unlock the manager; without it, a V4 step in front of this one has. Unlocking but not taking means that the first pool of the
    /// cycle is of this manager too: the input of the first is netted against the output of this one, and only the profit is taken.
    uint256 private constant UNLOCK = 1 << 6;
    /// @dev V4: let the input rest here and pay it afterwards, because a V4 step further behind would end the manager's count of what comes in.
    uint256 private constant INDIRECT = 1 << 7;

    /// @dev The Vault has this address on every chain. Pools of Curve and the Vault draw their input by allowance.
    address private constant VAULT = 0xBA12222222228d8Ba445958a75a0704d566BF2C8;
    // What a swap without a price limit passes as one: TickMath's bounds, not included.
    uint160 private constant LOWEST_PRICE = 4295128740;
    uint160 private constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

    error NotOwner();
    error Busy();
    error BadHops(uint256 length);
    error UnknownCall(bytes4 selector);
    error UnknownKind(uint256 kind);
    error UnexpectedCallback(address caller, address sender);
    error CallbackMissing(address pool);
    error TransferFailed(address token);
    error ApprovalFailed(address token);
    error WrongOutput(address pool, uint256 got, uint256 promised);
    error ProfitTooLow(uint256 got, uint256 min);

    constructor(address owner_) {
        owner = owner_;
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    // ---------------------------------------------------------------- for the owner

    /// @notice Runs one cycle of Uniswap V2 pools and sends all of `token` it leaves here to the owner.
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
        expected = uint160(flashPool);
        (uint256 flags,, uint256 amountOut) = _hop(hops, count - 1);
        if (flags >> 1 != V2) revert UnknownKind(flags >> 1);
        _flashV2(flashPool, flags, amountOut, abi.encodePacked(token, amountIn, hops));
        if (expected != PAYING) revert CallbackMissing(flashPool);

        _finish(token, before, minProfit, IERC20(token).balanceOf(address(this)));
    }

    /// @notice Runs one cycle over pools of any known kinds and sends all of its token that it leaves here to the owner.
    /// @param minProfit The least increase of the owner's balance of the token, in base units; less reverts with ProfitTooLow.
    /// @param route Steps and token, packed as above. A pool that calls back is locked until its input is paid and cannot appear twice.
    function executeRoute(uint128 minProfit, bytes calldata route) external onlyOwner {
        if (expected != IDLE) revert Busy();
        address token = _token(route);
        uint256 before = IERC20(token).balanceOf(owner);

        expected = PAYING;
        _bring(route, address(this));

        _finish(token, before, minProfit, IERC20(token).balanceOf(address(this)));
    }

    /// @notice Runs several cycles one after the other, each on what the ones before it left. Unless every one of them pays, none happens.
    /// @param calls Calldata of `execute` and `executeRoute`, each with its own least profit.
    function executeAll(bytes[] calldata calls) external onlyOwner {
        for (uint256 i = 0; i < calls.length; ++i) {
            bytes4 selector = bytes4(calls[i]);
            if (selector != this.execute.selector && selector != this.executeRoute.selector) revert UnknownCall(selector);
            // Our own code in our own name: the owner is the sender in there as well.
            (bool success, bytes memory reason) = address(this).delegatecall(calls[i]);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            }
        }
    }

    /// @notice Sends tokens that strayed here to the owner.
    function sweep(address token) external onlyOwner {
        _transfer(token, owner, IERC20(token).balanceOf(address(this)));
    }

    /// @notice Sets an allowance: beforehand, so that the first route does not pay for it, or to take back what routes have given.
    /// @dev Routes give allowances without limit, once, to the Vault and to Curve pools. Between two runs there is nothing here to be drawn.
    function allow(address token, address spender, uint256 amount) external onlyOwner {
        _approve(token, spender, amount);
    }

    // ---------------------------------------------------------------- callbacks

    // The data of every callback is trusted because only the contract that a run has just called gets in, once for each call. Even if it lies
    // it can move nothing but what this contract holds during the run, and the owner's minimum profit is checked afterwards.

    /// @notice A flash pool's callback: pays the first pool and walks the cycle up to the flash pool; or goes on with a route.
    function uniswapV2Call(address sender, uint256, uint256, bytes calldata data) external {
        if (expected != uint160(msg.sender) || sender != address(this)) {
            _admit(V2, sender);
            return _bring(data, msg.sender);
        }
        expected = PAYING;

        bytes calldata hops = data[HEAD_BYTES:];
        uint256 last = hops.length / HOP_BYTES - 1;
        _transfer(address(bytes20(data[:20])), _pool(hops, 0), uint128(bytes16(data[20:HEAD_BYTES])));
        for (uint256 i = 0; i < last; ++i) {
            _hopTo(hops, i, _pool(hops, i + 1));
        }
    }

    function uniswapV3SwapCallback(int256, int256, bytes calldata data) external {
        _admit(V3, address(this));
        _bring(data, msg.sender);
    }

    function pancakeV3SwapCallback(int256, int256, bytes calldata data) external {
        _admit(PANCAKE_V3, address(this));
        _bring(data, msg.sender);
    }

    /// @notice The PoolManager's callback. `data`: 20 bytes of where the step's output has to go, then the steps from the one that unlocked.
    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        _admit(V4, address(this));
        bytes calldata route = data[20:];
        if (_kind(route) == V4) _tradeV4(route, address(bytes20(data[:20])));
        else _repayManager(route);
        return "";
    }

    /// @notice The Vault's callback. It does not say who asked for the loan; its reentrancy lock and ours leave only this contract.
    function receiveFlashLoan(address[] calldata, uint256[] calldata amounts, uint256[] calldata fees, bytes calldata data) external {
        _admit(LOAN_VAULT, address(this));
        _bring(data, address(this));
        _transfer(_token(data), VAULT, amounts[0] + fees[0]);
    }

    /// @dev `sender`: who asked the caller to swap, if it says so.
    function _admit(uint256 kind, address sender) private {
        if (expected != _gate(msg.sender, kind) || sender != address(this)) revert UnexpectedCallback(msg.sender, sender);
        expected = PAYING;
    }

    function _gate(address caller, uint256 kind) private pure returns (uint256) {
        return (kind + 1) << 160 | uint160(caller);
    }

    // ---------------------------------------------------------------- steps of a route

    /// @dev Has the first step of `route` send its output to `to`, and before that whatever it needs of the steps behind it.
    function _bring(bytes calldata route, address to) private {
        uint256 kind = _kind(route);
        if (kind == V2) _bringV2(route, to);
        else if (kind == V3 || kind == PANCAKE_V3) _bringV3(route, to, kind);
        else if (kind == V4) _bringV4(route, to);
        else if (kind == PAY) _pay(route, to);
        else if (kind == HOLD) return;
        else if (kind == BALANCER) _bringBalancer(route, to);
        else if (kind == CURVE) _bringCurve(route, to);
        else if (kind == CURVE_NG) _bringCurveNg(route, to);
        else if (kind == LOAN_VAULT) _borrowFromVault(route);
        else if (kind == LOAN_MANAGER) _unlock(route, to);
        else revert UnknownKind(kind);
    }

    function _bringV2(bytes calldata route, address to) private {
        bytes calldata rest = route[POOL_BYTES:];
        address pool = _address(route, MARK_BYTES);
        uint256 flags = _flags(route);
        uint256 amountOut = _amount(route);
        if (flags & FLASH == 0) {
            _bring(rest, pool);
            _swapV2(pool, flags, amountOut, to);
        } else {
            expected = _gate(pool, V2);
            _flashV2(pool, flags, amountOut, rest);
            _insistOnCallback(pool);
        }
    }

    function _bringV3(bytes calldata route, address to, uint256 kind) private {
        bytes calldata rest = route[POOL_BYTES:];
        address pool = _address(route, MARK_BYTES);
        bool zeroForOne = _flags(route) & 1 == 1;
        expected = _gate(pool, kind);
        (int256 amount0, int256 amount1) =
            IUniswapV3Pool(pool).swap(to, zeroForOne, int256(_amount(rest)), zeroForOne ? LOWEST_PRICE : HIGHEST_PRICE, rest);
        _insistOnCallback(pool);
        unchecked {
            _insistOnOutput(pool, uint256(-(zeroForOne ? amount1 : amount0)), _amount(route));
        }
    }

    function _bringV4(bytes calldata route, address to) private {
        if (_flags(route) & UNLOCK == 0) _tradeV4(route, to);
        else _unlock(route, to);
    }

    function _unlock(bytes calldata route, address to) private {
        address manager = _address(route, MARK_BYTES);
        expected = _gate(manager, V4);
        IPoolManager(manager).unlock(abi.encodePacked(to, route));
        _insistOnCallback(manager);
    }

    /// @dev The manager keeps account of what it owes us and we owe it, and lets nobody leave before all is paid.
    function _tradeV4(bytes calldata route, address to) private {
        bytes calldata rest = route[V4_BYTES:];
        IPoolManager manager = IPoolManager(_address(route, MARK_BYTES));
        uint256 flags = _flags(route);
        (address sold, address bought) = (_address(route, 37), _address(route, 57));
        _swapV4(manager, PoolKey(sold, bought, uint24(_three(route, 77)), int24(uint24(_three(route, 80))), address(0)), route, rest);
        if (flags & 1 == 0) (sold, bought) = (bought, sold);

        if (flags & TAKE != 0) manager.take(bought, to, _amount(route));
        else if (flags & UNLOCK != 0) manager.take(bought, owner, _gain(route));

        uint256 kind = _kind(rest);
        if (kind == HOLD) return;
        if (kind == V4 && _flags(rest) & (TAKE | UNLOCK) == 0) return _tradeV4(rest, to);
        if (flags & INDIRECT == 0) {
            manager.sync(sold);
            _bring(rest, address(manager));
            manager.settle();
        } else {
            _bring(rest, address(this));
            _settle(manager, sold, _amount(rest));
        }
    }

    /// @dev The cycle's first amount stands in its last step, in front of the token.
    function _gain(bytes calldata route) private pure returns (uint256) {
        return _amount(route) - _amount(route[route.length - TOKEN_BYTES - MARK_BYTES:]);
    }

    function _swapV4(IPoolManager manager, PoolKey memory key, bytes calldata route, bytes calldata rest) private {
        bool zeroForOne = _flags(route) & 1 == 1;
        SwapParams memory params = SwapParams(zeroForOne, -int256(_amount(rest)), zeroForOne ? LOWEST_PRICE : HIGHEST_PRICE);
        uint256 delta = uint256(manager.swap(key, params, ""));
        _insistOnOutput(address(manager), zeroForOne ? delta & type(uint128).max : delta >> 128, _amount(route));
    }

    function _settle(IPoolManager manager, address token, uint256 amount) private {
        manager.sync(token);
        _transfer(token, address(manager), amount);
        manager.settle();
    }

    function _bringBalancer(bytes calldata route, address to) private {
        bytes calldata rest = route[BALANCER_BYTES:];
        _bring(rest, address(this));
        address assetIn = _address(route, 49);
        uint256 amountIn = _amount(rest);
        uint256 amountOut = _amount(route);
        _assureAllowance(assetIn, VAULT, amountIn);
        uint256 got = IBalancerVault(VAULT).swap(
            IBalancerVault.SingleSwap(bytes32(route[17:49]), 0, assetIn, _address(route, 69), amountIn, ""),
            IBalancerVault.FundManagement(address(this), false, to, false),
            amountOut,
            type(uint256).max
        );
        _insistOnOutput(_address(route, 17), got, amountOut);
    }

    /// @dev These pools neither say what they paid nor pay anybody but the caller.
    function _bringCurve(bytes calldata route, address to) private {
        bytes calldata rest = route[CURVE_BYTES:];
        _bring(rest, address(this));
        address pool = _address(route, MARK_BYTES);
        address coinOut = _address(route, 58);
        uint256 amountOut = _amount(route);
        _assureAllowance(_address(route, 38), pool, _amount(rest));
        uint256 before = IERC20(coinOut).balanceOf(address(this));
        (int128 i, int128 j) = _indices(route);
        ICurvePool(pool).exchange(i, j, _amount(rest), amountOut);
        _insistOnOutput(pool, IERC20(coinOut).balanceOf(address(this)) - before, amountOut);
        if (to != address(this)) _transfer(coinOut, to, amountOut);
    }

    function _bringCurveNg(bytes calldata route, address to) private {
        bytes calldata rest = route[CURVE_NG_BYTES:];
        _bring(rest, address(this));
        address pool = _address(route, MARK_BYTES);
        _assureAllowance(_address(route, 38), pool, _amount(rest));
        (int128 i, int128 j) = _indices(route);
        uint256 got = ICurveNgPool(pool).exchange(i, j, _amount(rest), _amount(route), to);
        _insistOnOutput(pool, got, _amount(route));
    }

    function _pay(bytes calldata route, address to) private {
        bytes calldata rest = route[MARK_BYTES:];
        if (rest.length > TOKEN_BYTES) _bring(rest, address(this));
        if (to != address(this)) _transfer(_token(route), to, _amount(route));
    }

    function _borrowFromVault(bytes calldata route) private {
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (_token(route), _amount(route));
        expected = _gate(VAULT, LOAN_VAULT);
        IBalancerVault(VAULT).flashLoan(address(this), tokens, amounts, route[MARK_BYTES:]);
        _insistOnCallback(VAULT);
    }

    function _repayManager(bytes calldata route) private {
        IPoolManager manager = IPoolManager(_address(route, MARK_BYTES));
        manager.take(_token(route), address(this), _amount(route));
        _bring(route[POOL_BYTES:], address(this));
        _settle(manager, _token(route), _amount(route));
    }

    /// @dev What was called back has set PAYING, and so has everything called meanwhile.
    function _insistOnCallback(address pool) private view {
        if (expected != PAYING) revert CallbackMissing(pool);
    }

    /// @dev More than promised is refused too: it would stay here or be given to the next pool.
    function _insistOnOutput(address pool, uint256 got, uint256 promised) private pure {
        if (got != promised) revert WrongOutput(pool, got, promised);
    }

    // ---------------------------------------------------------------- packed fields

    // Words instead of slices save more than 900 gas a hop. Beyond its end calldata reads as zero. Steps are cut off by checked slices.

    function _kind(bytes calldata route) private pure returns (uint256) {
        return _flags(route) >> 1 & 15;
    }

    function _flags(bytes calldata route) private pure returns (uint256 flags) {
        assembly ("memory-safe") {
            flags := byte(0, calldataload(route.offset))
        }
    }

    function _amount(bytes calldata route) private pure returns (uint256 amount) {
        assembly ("memory-safe") {
            amount := shr(128, calldataload(add(route.offset, 1)))
        }
    }

    function _address(bytes calldata route, uint256 start) private pure returns (address field) {
        assembly ("memory-safe") {
            field := shr(96, calldataload(add(route.offset, start)))
        }
    }

    function _three(bytes calldata route, uint256 start) private pure returns (uint256 field) {
        assembly ("memory-safe") {
            field := shr(232, calldataload(add(route.offset, start)))
        }
    }

    function _indices(bytes calldata route) private pure returns (int128 i, int128 j) {
        uint256 both = uint8(route[37]);
        return (int128(uint128(both >> 4)), int128(uint128(both & 15)));
    }

    function _token(bytes calldata route) private pure returns (address) {
        return _address(route, route.length - TOKEN_BYTES);
    }

    // ---------------------------------------------------------------- hops of `execute`

    function _hopTo(bytes calldata hops, uint256 index, address to) private {
        (uint256 flags, address pool, uint256 amountOut) = _hop(hops, index);
        if (flags >> 1 != V2) revert UnknownKind(flags >> 1);
        _swapV2(pool, flags, amountOut, to);
    }

    function _pool(bytes calldata hops, uint256 index) private pure returns (address pool) {
        (, pool,) = _hop(hops, index);
    }

    /// @dev `execute` checked the length.
    function _hop(bytes calldata hops, uint256 index) private pure returns (uint256 flags, address pool, uint256 amountOut) {
        assembly ("memory-safe") {
            let hop := add(hops.offset, mul(index, HOP_BYTES))
            flags := byte(0, calldataload(hop))
            pool := shr(96, calldataload(add(hop, 1)))
            amountOut := shr(128, calldataload(add(hop, 21)))
        }
    }

    // ---------------------------------------------------------------- Uniswap V2

    /// @dev IUniswapV2Pair.swap without data. Where there is no code nothing is swapped, and a later pool misses its input.
    function _swapV2(address pool, uint256 flags, uint256 amountOut, address to) private {
        (uint256 amount0Out, uint256 amount1Out) = _sides(flags, amountOut);
        assembly ("memory-safe") {
            let message := mload(0x40)
            mstore(message, shl(224, 0x022c0d9f))
            mstore(add(message, 4), amount0Out)
            mstore(add(message, 36), amount1Out)
            mstore(add(message, 68), to)
            mstore(add(message, 100), 128)
            mstore(add(message, 132), 0)
            if iszero(call(gas(), pool, 0, message, 164, 0, 0)) {
                returndatacopy(message, 0, returndatasize())
                revert(message, returndatasize())
            }
        }
    }

    /// @dev Whom a pair pays it also calls back: a flash swap can only bring its output here.
    function _flashV2(address pool, uint256 flags, uint256 amountOut, bytes memory data) private {
        (uint256 amount0Out, uint256 amount1Out) = _sides(flags, amountOut);
        IUniswapV2Pair(pool).swap(amount0Out, amount1Out, address(this), data);
    }

    function _sides(uint256 flags, uint256 amountOut) private pure returns (uint256 amount0Out, uint256 amount1Out) {
        return flags & 1 == 1 ? (uint256(0), amountOut) : (amountOut, uint256(0));
    }

    // ---------------------------------------------------------------- tokens

    /// @dev Where the profit went to the owner already, nothing is held and the token need not be asked to move it.
    function _finish(address token, uint256 before, uint256 minProfit, uint256 held) private {
        if (held != 0) _transfer(token, owner, held);
        uint256 got = IERC20(token).balanceOf(owner) - before;
        if (got < minProfit) revert ProfitTooLow(got, minProfit);
        expected = IDLE;
    }

    function _transfer(address token, address to, uint256 amount) private {
        if (!_succeeds(token, abi.encodeCall(IERC20.transfer, (to, amount)))) revert TransferFailed(token);
    }

    /// @dev Some tokens (USDT) allow a new allowance only after none.
    function _assureAllowance(address token, address spender, uint256 amount) private {
        uint256 allowed = IERC20(token).allowance(address(this), spender);
        if (allowed >= amount) return;
        if (allowed != 0) _approve(token, spender, 0);
        _approve(token, spender, type(uint256).max);
    }

    function _approve(address token, address spender, uint256 amount) private {
        if (!_succeeds(token, abi.encodeCall(IERC20.approve, (spender, amount)))) revert ApprovalFailed(token);
    }

    /// @dev A success is "true" or no answer at all (USDT). That `token` has code is known from the balance or allowance read before.
    function _succeeds(address token, bytes memory message) private returns (bool) {
        (bool ok, bytes memory answer) = token.call(message);
        return ok && (answer.length == 0 || abi.decode(answer, (bool)));
    }
}
