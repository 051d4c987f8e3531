//! revm's mainnet EVM with a guard around each frame, and without a fee recipient nobody knows.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use revm::context::journal::Journal;
use revm::context::result::{EVMError, ExecutionResult, HaltReason};
use revm::context::{BlockEnv, CfgEnv, Context, ContextSetters, ContextTr, FrameStack, JournalTr, TxEnv};
use revm::context_interface::Block as _;
use revm::context_interface::context::ContextError;
use revm::handler::evm::{ContextDbError, FrameInitResult, FrameTr};
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EthPrecompiles, EvmTr, EvmTrError, FrameInitOrResult, FrameResult, Handler, MainBuilder, MainnetEvm,
    SystemCallTx,
};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::LoopControl;
use revm::interpreter::{CreateInputs, FrameInput, InstructionResult, InterpreterAction};
use revm::primitives::{Address, Bytes};
use revm::state::EvmState;

use crate::block::Block;
use crate::budget::Budget;
use crate::database::{Missing, StateDb};
use crate::refusal::Refusal;

/// Steps between two looks at the clock: some microseconds.
const STEPS_PER_LOOK: u32 = 4096;

type Chain<'a> = Context<BlockEnv, TxEnv, CfgEnv, StateDb<'a>, Journal<StateDb<'a>>, ()>;
pub(crate) type Failure = EVMError<Missing>;

/// What the guard holds a run to.
#[derive(Clone, Copy, Debug)]
struct Limits {
    memory_binds: bool,
    time: Option<Duration>,
    deadline: Option<Instant>,
    steps: u32,
}

pub(crate) struct Machine<'a> {
    evm: MainnetEvm<Chain<'a>>,
    limits: Limits,
    stopped: Option<Refusal>,
    budget: Budget,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(db: StateDb<'a>, block: &Block, budget: &Budget) -> Self {
        let evm = Context::<BlockEnv, TxEnv, CfgEnv, StateDb<'a>, Journal<StateDb<'a>>, ()>::new(db, block.fork.spec())
            .with_cfg(block.config(budget))
            .with_block(block.env.clone())
            .build_mainnet();
        let limits = Limits { memory_binds: false, time: budget.time, deadline: None, steps: STEPS_PER_LOOK };
        Self { evm, limits, stopped: None, budget: *budget }
    }

    /// Runs one transaction; its effects stay in the journal until `take_state`.
    pub(crate) fn transact(&mut self, tx: TxEnv) -> Result<ExecutionResult<HaltReason>, Failure> {
        self.limits.memory_binds = self.budget.memory_binds(tx.gas_limit);
        self.limits.deadline = self.limits.time.and_then(|time| Instant::now().checked_add(time));
        self.stopped = None;
        self.evm.ctx.set_tx(tx);
        Rules::default().run(self)
    }

    /// Makes a call of the protocol: no sender, no fees.
    pub(crate) fn system_call(&mut self, to: Address, data: Bytes) -> Result<ExecutionResult<HaltReason>, Failure> {
        self.limits.memory_binds = false;
        self.limits.deadline = None;
        self.stopped = None;
        self.evm.ctx.set_tx(TxEnv::new_system_tx(to, data));
        Rules::default().run_system_call(self)
    }

    /// What ended the last run from outside the EVM, if anything did.
    pub(crate) const fn stopped(&self) -> Option<Refusal> {
        self.stopped
    }

    /// What the runs since the last call changed; the journal is empty afterwards (also after a failed run).
    pub(crate) fn take_state(&mut self) -> EvmState {
        self.evm.ctx.journal_mut().finalize()
    }

    pub(crate) fn db(&mut self) -> &mut StateDb<'a> {
        self.evm.ctx.db_mut()
    }

    pub(crate) fn into_db(self) -> StateDb<'a> {
        self.evm.ctx.journaled_state.database
    }
}

impl Machine<'_> {
    /// An error, not a halt: a caller inside the EVM must not be able to go on as if its callee had failed.
    fn stop<T>(&mut self, refusal: Refusal) -> Result<T, ContextError<Missing>> {
        self.stopped = Some(refusal);
        Err(ContextError::Custom(refusal.name().to_owned()))
    }

    /// Whether a creation is about to meet storage at the new contract's address.
    fn finds_storage(&self, inputs: &CreateInputs) -> bool {
        let journal = &self.evm.ctx.journaled_state;
        let Some(caller) = journal.state.get(&inputs.caller()) else { return false };
        journal.database.has_storage(&inputs.created_address(caller.info.nonce))
    }
}

/// Runs one frame until it ends, calls, or meets a limit.
fn run_guarded<'a>(
    frame: &mut EthFrame<EthInterpreter>,
    instructions: &EthInstructions<EthInterpreter, Chain<'a>>,
    context: &mut Chain<'a>,
    limits: &mut Limits,
) -> Result<InterpreterAction, Refusal> {
    let interpreter = &mut frame.interpreter;
    let (table, gas) = (instructions.instruction_table(), instructions.gas_table());
    let action = match limits.deadline {
        None => interpreter.run_plain(table, gas, context),
        Some(deadline) => {
            let end = loop {
                if limits.steps == 0 {
                    limits.steps = STEPS_PER_LOOK;
                    if Instant::now() >= deadline {
                        return Err(Refusal::TimeBudget);
                    }
                }
                limits.steps -= 1;
                if let Err(end) = interpreter.step(table, gas, context) {
                    break end;
                }
            };
            if interpreter.bytecode.action().is_none() {
                interpreter.halt(end);
            }
            interpreter.take_next_action()
        }
    };
    match &action {
        InterpreterAction::Return(result)
            if result.result == InstructionResult::MemoryLimitOOG && limits.memory_binds =>
        {
            Err(Refusal::MemoryBudget)
        }
        _ => Ok(action),
    }
}

type Parts<'m, 'a> = (
    &'m mut Chain<'a>,
    &'m mut EthInstructions<EthInterpreter, Chain<'a>>,
    &'m mut EthPrecompiles,
    &'m mut FrameStack<EthFrame<EthInterpreter>>,
);

impl<'a> EvmTr for Machine<'a> {
    type Context = Chain<'a>;
    type Instructions = EthInstructions<EthInterpreter, Chain<'a>>;
    type Precompiles = EthPrecompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.evm.all()
    }

    fn all_mut(&mut self) -> Parts<'_, 'a> {
        self.evm.all_mut()
    }

    fn frame_init(
        &mut self,
        input: <Self::Frame as FrameTr>::FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        if let FrameInput::Create(inputs) = &input.frame_input
            && self.finds_storage(inputs)
        {
            return self.stop(Refusal::ImpossibleAccount);
        }
        self.evm.frame_init(input)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        let frame = self.evm.frame_stack.get();
        let context = &mut self.evm.ctx;
        match run_guarded(frame, &self.evm.instruction, context, &mut self.limits) {
            Ok(action) => frame.process_next_action(context, action).inspect(|next| {
                if next.is_result() {
                    frame.set_finished(true);
                }
            }),
            Err(limit) => self.stop(limit),
        }
    }

    fn frame_return_result(
        &mut self,
        result: <Self::Frame as FrameTr>::FrameResult,
    ) -> Result<Option<<Self::Frame as FrameTr>::FrameResult>, ContextDbError<Self::Context>> {
        self.evm.frame_return_result(result)
    }
}

/// Mainnet's rules, except that a fee recipient outside the witness is paid nothing: its balance is unknown before and
/// after, and a transaction that reads it is refused by the database.
struct Rules<'a, E = Failure>(PhantomData<&'a E>);

impl Default for Rules<'_> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'a, E: EvmTrError<Machine<'a>>> Handler for Rules<'a, E> {
    type Evm = Machine<'a>;
    type Error = E;
    type HaltReason = HaltReason;

    fn reward_beneficiary(&self, evm: &mut Machine<'a>, result: &mut FrameResult) -> Result<(), E> {
        let context = &mut evm.evm.ctx;
        let recipient = context.block.beneficiary();
        if !context.db().knows(&recipient) {
            return Ok(());
        }
        revm::handler::post_execution::reward_beneficiary(context, result.gas()).map_err(From::from)
    }
}
