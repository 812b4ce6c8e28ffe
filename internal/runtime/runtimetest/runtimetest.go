package runtimetest

import (
	"os"
	"os/signal"
	"testing"
)

// Run checks every sentence of runtime.Runtime's contract against machines
// made by fresh. The subtests run side by side.
func Run(t *testing.T, fresh func(t *testing.T) Machine) {
	heedInterrupts(t)
	for _, promise := range []struct {
		name  string
		check func(t *testing.T, m Machine)
	}{
		{"an instance runs in its image with its environment", startRuns},
		{"config values keep newlines and unicode", environmentIsExact},
		{"stdout and stderr are merged in one file", outputIsMerged},
		{"a line of a mebibyte arrives whole", longLine},
		{"an id that runs cannot be started again", startConflicts},
		{"a restart has the same id and output and a clean file system", restart},
		{"an image that is not there is an error that names it", imageMissing},
		{"a command that is not there exits by itself", commandMissing},
		{"stop lets an instance finish", stopIsGraceful},
		{"stop lets children finish after their parent", stopWaitsForChildren},
		{"stop kills what ignores the signal, children included", stopKills},
		{"stop with a context that ends kills at once", stopHurries},
		{"stop of an unknown id is no error", stopUnknown},
		{"an instance that ends takes its children along", exitIsWhole},
		{"exit codes and signals are told once and in words", exitsAreTold},
		{"a watcher misses nothing that ended before it came", watchIsComplete},
		{"a memory limit kills and says so", memoryLimit},
		{"a fork bomb stays inside", forkBomb},
		{"an instance survives kill -9 of its node and is adopted", adopt},
		{"what ended without a node is told after it", adoptEnded},
		{"two instances never share a port, a restart keeps its own", ports},
		{"a port taken by somebody else is detected", portTaken},
		{"an app sees no other app and nothing of the platform", isolation},
		{"a run is attached and its exit code passes through", runIsAttached},
		{"a run reads its input to the end", runReads},
		{"a run gets signals", runGetsSignals},
		{"a run ends with its context, whole", runIsCancelled},
		{"a run has a terminal with a size", runTerminal},
		{"ctrl-c at a terminal interrupts", runInterrupt},
		{"an exec shares the instance's files, user and environment", exec},
		{"an exec has a terminal and an exit code", execTerminal},
		{"an exec ends with its context, the instance does not", execIsCancelled},
		{"an exec ends with its instance", execEndsWithInstance},
		{"a command line beside an instance is run as its own is", shell},
		{"forget removes what was printed", forget},
		{"an exec has the environment of one that wrote its title over it", execAfterTitle},
		{"a volume outlives its instances and is theirs alone", volumeOutlives},
		{"a volume follows its app to another id", volumeFollows},
		{"a volume has one writer", volumeHasOneWriter},
		{"a volume is held by an instance that was adopted", volumeHeldByAdopted},
		{"no mount leads out of the volumes or over the system", volumeClimbs},
	} {
		t.Run(promise.name, func(t *testing.T) {
			t.Parallel()
			promise.check(t, fresh(t))
		})
	}
}

// heedInterrupts has what this process starts heed SIGINT, as a node's instances
// do: a shell that began the tests in the background has it ignored.
func heedInterrupts(t *testing.T) {
	t.Helper()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	t.Cleanup(func() { signal.Stop(interrupted); close(interrupted) })
	go func() {
		if _, came := <-interrupted; came {
			os.Exit(130)
		}
	}()
}
