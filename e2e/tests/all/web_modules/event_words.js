({ endWords }, check) => {
  const words = (kind) => endWords({ kind, state: 'ended', reason: 'stopped' });
  check('a recording that was stopped', words('manual'), 'The recording was stopped');
  check('is not a stopped agent', words('motion'), "The camera's agent was stopped");
}
