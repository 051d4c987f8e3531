// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Moves like USDT on mainnet: no return value at all, and a new allowance only after none.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "allowance on allowance");
        allowance[msg.sender][spender] = amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
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

    function approve(address, uint256) external view returns (bool) {
        return msg.sender != denied;
    }
}

/// @dev Keeps allowances in 96 bits and takes off even the largest, as UNI does.
contract ThriftyToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint96)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) public returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount > type(uint96).max ? type(uint96).max : uint96(amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= uint96(amount);
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
