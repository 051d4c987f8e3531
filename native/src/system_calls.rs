//! The calls that the protocol makes before a block's first transaction.

use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, Bytes, address};

use crate::block::Block;
use crate::database::Missing;
use crate::machine::{Failure, Machine};
use crate::refusal::{Refusal, Refused};

/// EIP-4788.
const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// EIP-2935.
const HISTORY: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");

/// Makes the calls that the block asks for and its fork has; the changes are in the database afterwards.
pub(crate) fn make_system_calls(machine: &mut Machine<'_>, block: &Block) -> Result<(), Refused> {
    let calls = block.system_calls;
    if let Some(root) = calls.beacon_root.filter(|_| block.fork.includes(SpecId::CANCUN)) {
        call(machine, "EIP-4788", BEACON_ROOTS, root)?;
    }
    if let Some(hash) = calls.parent_hash.filter(|_| block.fork.includes(SpecId::PRAGUE)) {
        call(machine, "EIP-2935", HISTORY, hash)?;
    }
    Ok(())
}

fn call(machine: &mut Machine<'_>, name: &str, contract: Address, word: B256) -> Result<(), Refused> {
    let result = machine.system_call(contract, Bytes::copy_from_slice(word.as_slice()));
    let mut state = machine.take_state();
    match result {
        Ok(_) => {
            // Only the contract is changed; that the system account was touched must not create it.
            state.retain(|address, _| *address == contract);
            machine.db().commit(state);
            Ok(())
        }
        // Without code there the call does nothing (both EIPs), and an account outside the witness was read by nobody.
        Err(Failure::Database(Missing::Account(address))) if address == contract => Ok(()),
        Err(Failure::Database(missing)) => Err(Refused::new(missing.refusal(), format!("{name}: {missing}"))),
        Err(failure) => Err(Refused::new(Refusal::SystemCall, format!("{name}: {failure}"))),
    }
}
