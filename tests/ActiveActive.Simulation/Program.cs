using ActiveActive.Simulation;

var command = CommandLine.Parse(args);
if (command is null) return 2;
if (command.CheckDeterminism) return Determinism.Check(command);
return command.Mutants ? MutantRun.Run(command) : SeedRun.Run(command);
