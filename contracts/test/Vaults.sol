// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBalancerVault} from "../src/Protocols.sol";

interface IPulled {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
    function transferFrom(address from, address to, uint256 amount) external;
}

interface IBorrower {
    function receiveFlashLoan(address[] memory tokens, uint256[] memory amounts, uint256[] memory fees, bytes memory data) external;
}

// Stand-ins with the real contracts' ways of moving tokens and a rate instead of a curve. The real ones are tried by tests/chain.

/// @dev The Balancer V2 Vault: swaps and flash loans share one reentrancy lock; a swap's input is drawn from its sender.
contract StandInVault {
    bool private entered;
    uint256 public fee;

    modifier nonReentrant() {
        require(!entered, "BAL#400");
        entered = true;
        _;
        entered = false;
    }

    /// @dev Also once by etching: the constructor did not run then.
    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    /// @dev The pool's rate of output per 1e6 of input stands at the end of its id.
    function swap(IBalancerVault.SingleSwap memory single, IBalancerVault.FundManagement memory funds, uint256 limit, uint256 deadline)
        external
        nonReentrant
        returns (uint256 amountOut)
    {
        require(funds.sender == msg.sender && block.timestamp <= deadline && single.kind == 0, "BAL");
        amountOut = single.amount * uint96(uint256(single.poolId)) / 1e6;
        require(amountOut >= limit, "BAL#507");
        IPulled(single.assetIn).transferFrom(msg.sender, address(this), single.amount);
        IPulled(single.assetOut).transfer(funds.recipient, amountOut);
    }

    function flashLoan(IBorrower recipient, address[] memory tokens, uint256[] memory amounts, bytes memory data) external nonReentrant {
        uint256 before = IPulled(tokens[0]).balanceOf(address(this));
        uint256[] memory fees = new uint256[](1);
        fees[0] = fee;
        IPulled(tokens[0]).transfer(address(recipient), amounts[0]);
        recipient.receiveFlashLoan(tokens, amounts, fees, data);
        require(IPulled(tokens[0]).balanceOf(address(this)) >= before + fee, "BAL#602");
    }
}

/// @dev A Curve pool of two coins: draws its input, pays its caller and answers nothing, or pays a receiver and answers.
contract StandInCurve {
    address[2] public coins;
    uint256 public rate;

    constructor(address coin0, address coin1, uint256 rate_) {
        (coins[0], coins[1], rate) = (coin0, coin1, rate_);
    }

    function setRate(uint256 rate_) external {
        rate = rate_;
    }

    /// @dev `rate` is of coin 0 in coin 1, in 1e6.
    function get_dy(int128 i, int128 j, uint256 dx) public view returns (uint256) {
        require(i != j && i >= 0 && j >= 0 && i + j == 1, "coins");
        return i == 0 ? dx * rate / 1e6 : dx * 1e6 / rate;
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 minDy) external {
        _exchange(i, j, dx, minDy, msg.sender);
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 minDy, address receiver) external returns (uint256) {
        return _exchange(i, j, dx, minDy, receiver);
    }

    function _exchange(int128 i, int128 j, uint256 dx, uint256 minDy, address receiver) private returns (uint256 dy) {
        dy = get_dy(i, j, dx);
        require(dy >= minDy, "Exchange resulted in fewer coins than expected");
        IPulled(coins[uint128(i)]).transferFrom(msg.sender, address(this), dx);
        IPulled(coins[uint128(j)]).transfer(receiver, dy);
    }
}
