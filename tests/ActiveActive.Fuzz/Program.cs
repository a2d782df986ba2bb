using ActiveActive.Fuzz;

if (args is ["record", var path]) return await PgOutputRecorder.RecordAsync(path);
var command = CommandLine.Parse(args);
if (command is null) return 2;
return FuzzRun.Run(command);
