// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @dev Storage of all kinds: balances in slot 0, supply in slot 1, one number and one address to set a kind up with in slots 2 and 3.
abstract contract Kind {
    mapping(address => uint256) internal balances;
    uint256 public totalSupply;
    uint256 internal knob;
    address internal marked;

    function balanceOf(address account) public view virtual returns (uint256) {
        return balances[account];
    }

    function move(address from, address to, uint256 amount) internal {
        balances[from] -= amount;
        balances[to] += amount;
    }
}

abstract contract Answering is Kind {
    function transfer(address to, uint256 amount) external returns (bool) {
        _transfer(to, amount);
        return true;
    }

    function _transfer(address to, uint256 amount) internal virtual;
}

contract Plain is Answering {
    function _transfer(address to, uint256 amount) internal override {
        move(msg.sender, to, amount);
    }
}

contract Silent is Kind {
    bool public paused;
    mapping(address => bool) public isBlackListed;

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }
}

/// @dev Moves, and answers false all the same.
contract Denying is Kind {
    function transfer(address to, uint256 amount) external returns (bool) {
        move(msg.sender, to, amount);
        return false;
    }
}

/// @dev Does nothing and answers false.
contract Refusing is Kind {
    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }
}

/// @dev Answers true and moves nothing.
contract Pretending is Kind {
    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }
}

/// @dev `knob` is the tax in 1/10000; taken when the marked account (the pool) is paid or pays, as its mode says.
abstract contract Taxing is Answering {
    function taxed(address from, address to) internal view virtual returns (bool);

    function _transfer(address to, uint256 amount) internal override {
        uint256 tax = taxed(msg.sender, to) ? amount * knob / 10_000 : 0;
        move(msg.sender, to, amount - tax);
        move(msg.sender, address(this), tax);
    }
}

contract TaxesAll is Taxing {
    function taxed(address, address) internal pure override returns (bool) {
        return true;
    }
}

contract TaxesSales is Taxing {
    function taxed(address, address to) internal view override returns (bool) {
        return to == marked;
    }
}

/// @dev The payer pays more than it sends.
contract Surcharging is Answering {
    function _transfer(address to, uint256 amount) internal override {
        move(msg.sender, to, amount);
        move(msg.sender, address(this), amount / 100);
    }
}

/// @dev Shares of a pot that grows with time, by one part in 10,000 an hour.
contract Growing is Kind {
    function index() internal view returns (uint256) {
        return 1e18 + (block.timestamp / 3600) * 1e14;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return balances[account] * index() / 1e18;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        move(msg.sender, to, amount * 1e18 / index());
        return true;
    }
}

/// @dev Shares of a pot that only an oracle moves: `knob` units for each 10**18 shares.
contract Shares is Kind {
    function balanceOf(address account) public view override returns (uint256) {
        return balances[account] * knob / 1e18;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        move(msg.sender, to, amount * 1e18 / knob);
        return true;
    }
}

contract Barring is Answering {
    function isBlacklisted(address account) public view returns (bool) {
        return account == marked;
    }

    function _transfer(address to, uint256 amount) internal override {
        require(!isBlacklisted(to), "Blacklistable: account is blacklisted");
        move(msg.sender, to, amount);
    }
}

contract NoContracts is Answering {
    function _transfer(address to, uint256 amount) internal override {
        require(to == marked || to.code.length == 0, "no contracts");
        move(msg.sender, to, amount);
    }
}

contract Paused is Answering {
    function paused() external pure returns (bool) {
        return true;
    }

    function _transfer(address, uint256) internal pure override {
        revert("Pausable: paused");
    }
}

/// @dev Whoever was paid in this block cannot pay in it.
contract Cooling is Answering {
    mapping(address => uint256) internal paidIn;

    function _transfer(address to, uint256 amount) internal override {
        require(paidIn[msg.sender] != block.number, "cooling down");
        paidIn[to] = block.number;
        move(msg.sender, to, amount);
    }
}

/// @dev No more than `knob` at once.
contract Limiting is Answering {
    function _transfer(address to, uint256 amount) internal override {
        require(amount <= knob, "too much");
        move(msg.sender, to, amount);
    }
}

interface IReceiver {
    function tokensReceived(address from, uint256 amount) external;
}

/// @dev Tells contracts that they were paid; plain accounts and the marked one are spared.
contract Telling is Answering {
    function _transfer(address to, uint256 amount) internal override {
        move(msg.sender, to, amount);
        if (to.code.length != 0 && to != marked) {
            try IReceiver(to).tokensReceived(msg.sender, amount) {} catch {}
        }
    }
}

interface IPool {
    function token0() external view returns (address);
}

/// @dev Looks whether the other side is a pool, as taxing tokens do; a pool pays no tax, an account that cannot say is taxed.
contract Looking is Answering {
    function _transfer(address to, uint256 amount) internal override {
        try IPool(msg.sender).token0() returns (address token) {
            require(token == address(this), "not my pool");
        } catch {
            require(isPool(to), "no pool on either side");
        }
        move(msg.sender, to, amount);
    }

    function isPool(address to) internal view returns (bool) {
        try IPool(to).token0() returns (address token) {
            return token == address(this);
        } catch {
            return false;
        }
    }
}

/// @dev Burns all gas it gets.
contract Burning is Answering {
    function _transfer(address, uint256) internal pure override {
        assembly { invalid() }
    }
}

interface IRegistry {
    function getInterfaceImplementer(address account, bytes32 hash) external view returns (address);
}

/// @dev As ERC-777: asks the registry whom to tell of a payment.
contract Asking is Answering {
    IRegistry constant REGISTRY = IRegistry(0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24);

    function _transfer(address to, uint256 amount) internal override {
        address told = REGISTRY.getInterfaceImplementer(to, keccak256("ERC777TokensRecipient"));
        move(msg.sender, to, amount);
        if (told != address(0)) IReceiver(told).tokensReceived(msg.sender, amount);
    }
}

contract Registry {
    mapping(address => mapping(bytes32 => address)) internal interfaces;

    function getInterfaceImplementer(address account, bytes32 hash) external view returns (address) {
        return interfaces[account][hash];
    }
}

/// @dev Answers everything with nothing.
contract NoToken {
    fallback() external {}
}

/// @dev A pool that knows its token.
contract Pool {
    uint256[4] private gap;

    function token0() external pure returns (address) {
        return 0x2222222222222222222222222222222222222222;
    }
}
