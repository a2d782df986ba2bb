return await ActiveActive.CommandLine.AaCommand.RunAsync(args);
