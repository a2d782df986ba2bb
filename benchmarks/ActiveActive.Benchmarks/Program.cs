Console.WriteLine("The benchmark verbs arrive with the speed work; see docs/ARCHITECTURE.md.");
