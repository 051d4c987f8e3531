// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SluiceExecutor} from "../src/SluiceExecutor.sol";

/// @dev A pool that, asked to swap, does whatever call it was told to do, then optionally calls back as it should.
contract HostilePool {
    address private target;
    bytes private message;
    bool private callsBack;

    function plan(address target_, bytes calldata message_, bool callsBack_) external {
        (target, message, callsBack) = (target_, message_, callsBack_);
    }

    function swap(uint256 amount0Out, uint256 amount1Out, address, bytes calldata data) external {
        if (callsBack && data.length != 0) SluiceExecutor(msg.sender).uniswapV2Call(msg.sender, amount0Out, amount1Out, data);
        if (target == address(0)) return;
        (bool ok, bytes memory answer) = target.call(message);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @dev An owner that is a contract, and lets anybody make it call its executor: the worst owner for reentrancy.
contract CarelessOwner {
    function relay(address target, bytes calldata message) external {
        (bool ok, bytes memory answer) = target.call(message);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @dev Whatever it is asked, it makes the calls it was told to make, in order, and gives the answer it was told to give.
contract Puppet {
    address[] private targets;
    bytes[] private messages;
    bytes private answer;

    function plan(address target, bytes calldata message) external {
        targets.push(target);
        messages.push(message);
    }

    function say(bytes calldata answer_) external {
        answer = answer_;
    }

    function forget() external {
        delete targets;
        delete messages;
        delete answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        for (uint256 i = 0; i < targets.length; ++i) {
            (bool ok, bytes memory reason) = targets[i].call(messages[i]);
            if (!ok) {
                assembly {
                    revert(add(reason, 32), mload(reason))
                }
            }
        }
        return answer;
    }
}
