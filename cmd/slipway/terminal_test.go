package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// session is a program at a terminal of its own, as a user sits before one.
type session struct {
	cmd    *exec.Cmd
	screen *os.File
	exited chan struct{}

	mu   sync.Mutex
	more *sync.Cond
	seen string // what came and no expect has matched yet
	over bool   // nothing comes any more
}

// seat holds a script's present session.
type seat struct{ *session }

// terminalCommand is a user at a terminal:
//
//	terminal start PROGRAM ARG...   at 24 rows and 80 columns
//	terminal expect REGEXP    waits until it is on the screen, after what was
//	                          expected before
//	terminal type TEXT        \n is Enter, \x03 Ctrl-C
//	terminal resize ROWS COLUMNS
//	terminal signal TERM      to the program, not through the terminal
//	terminal exit CODE        waits for the program's end
func terminalCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal start|expect|type|resize|signal|exit ...")
	}
	seat := ts.Value("seat").(*seat)
	if args[0] == "start" {
		seat.session = startSession(ts, args[1:])
		return
	}
	s := seat.session
	if s == nil {
		ts.Fatalf("terminal start comes first")
	}
	switch args[0] {
	case "expect":
		s.expect(ts, args[1])
	case "type":
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
		ts.Check(err)
		_, err = s.screen.WriteString(text)
		ts.Check(err)
	case "resize":
		ts.Check(pty.Setsize(s.screen, &pty.Winsize{Rows: number(ts, args[1]), Cols: number(ts, args[2])}))
	case "signal":
		ts.Check(s.cmd.Process.Signal(map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[1]]))
	case "exit":
		s.exit(ts, int(number(ts, args[1])))
	default:
		ts.Fatalf("terminal %s: no such command", args[0])
	}
}

func number(ts *testscript.TestScript, text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	ts.Check(err)
	return uint16(n)
}

func startSession(ts *testscript.TestScript, args []string) *session {
	s := &session{cmd: exec.Command(filepath.Join(bin, args[0]), args[1:]...), exited: make(chan struct{})}
	s.more = sync.NewCond(&s.mu)
	s.cmd.Env, s.cmd.Dir = append(environment(ts), "TERM=xterm"), ts.MkAbs(".")
	screen, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	ts.Check(err)
	s.screen = screen
	go s.watch()
	go func() { _ = s.cmd.Wait(); close(s.exited) }() // ProcessState says how
	ts.Defer(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.exited
		screen.Close()
	})
	return s
}

func (s *session) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.screen.Read(buffer)
		s.mu.Lock()
		s.seen += string(buffer[:n])
		s.over = err != nil
		s.mu.Unlock()
		s.more.Broadcast()
		if err != nil {
			return
		}
	}
}

func (s *session) expect(ts *testscript.TestScript, text string) {
	want, err := regexp.Compile(text)
	ts.Check(err)
	late := false
	defer time.AfterFunc(patience, func() {
		s.mu.Lock()
		late = true
		s.mu.Unlock()
		s.more.Broadcast()
	}).Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if at := want.FindStringIndex(s.seen); at != nil {
			fmt.Fprintln(ts.Stdout(), s.seen[:at[1]])
			s.seen = s.seen[at[1]:]
			return
		}
		if s.over || late {
			ts.Fatalf("%q is not on the screen; there is %q", text, s.seen)
		}
		s.more.Wait()
	}
}

func (s *session) exit(ts *testscript.TestScript, code int) {
	select {
	case <-s.exited:
	case <-time.After(patience):
		ts.Fatalf("the program did not end; on the screen is %q", s.seen)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		ts.Fatalf("the program ended with %v, want %d; on the screen is %q", s.cmd.ProcessState, code, s.seen)
	}
}

// awaitProcessCommand waits until a process with this command line runs on
// this machine, or with ! until none does. One that is stopped does not run: a
// shell says that it goes on before it does. Choose a line that nobody else has.
func awaitProcessCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] await-process COMMAND-LINE")
	}
	want := strings.ReplaceAll(args[0], " ", "\x00") + "\x00"
	deadline := time.Now().Add(patience)
	for runs(want) == neg {
		if time.Now().After(deadline) {
			ts.Fatalf("a process %q: %t after %s", args[0], neg, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// runs reports whether a process that is younger than this test has the
// command line and is not stopped: an older one was left by somebody else.
func runs(commandLine string) bool {
	_, began := status("/proc/self")
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || string(text) != commandLine {
			continue
		}
		if state, start := status(filepath.Dir(file)); state != "T" && start >= began {
			return true
		}
	}
	return false
}

// status is a process's state, and when it began in clock ticks since the
// machine's start: fields 3 and 22 of proc_pid_stat(5). One that is gone began
// never.
func status(dir string) (state string, start int) {
	text, _ := os.ReadFile(filepath.Join(dir, "stat"))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", -1
	}
	ticks, err := strconv.Atoi(fields[19])
	if err != nil {
		return "", -1
	}
	return fields[0], ticks
}
