// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Transfers like USDT on mainnet: no return value at all.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Answers "false" instead of reverting when told to, as some early tokens do.
contract DenyingToken {
    mapping(address => uint256) public balanceOf;
    address public denied;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function deny(address from) external {
        denied = from;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (msg.sender == denied) return false;
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
