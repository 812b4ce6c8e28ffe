package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

// runner is a platform that joins every run to command.
func runner(t *testing.T, command func(context.Context, string, platform.IO) (int, error)) *contract {
	t.Helper()
	c := &contract{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		open := attach.Open{Terminal: q.Get("tty") == "1", Term: q.Get("term")}
		_, _ = fmt.Sscan(q.Get("rows"), &open.Size.Rows)
		_, _ = fmt.Sscan(q.Get("cols"), &open.Size.Cols)
		_ = attach.Serve(r.Context(), conn, open, func(ctx context.Context, stream platform.IO) (int, error) {
			return command(ctx, q.Get("command"), stream)
		})
	}))
	t.Cleanup(c.Close)
	return c
}

func TestARunPassesInputOutputAndExitCode(t *testing.T) {
	c := runner(t, func(_ context.Context, command string, stream platform.IO) (int, error) {
		input, err := io.ReadAll(stream.Stdin)
		fmt.Fprintf(stream.Stdout, "%s\n%s", command, input)
		fmt.Fprint(stream.Stderr, "warning\n")
		return 42, err
	})
	u := at(t, c)
	u.stdin = "a\nb"
	u.types("run", "-a", "blog", "--", "grep", "-v", "it's x").want(t, 42, "grep -v 'it'\\''s x'\na\nb", "warning\n")
	u.types("run", "-a", "blog", "echo $PORT | cat").want(t, 42, "echo $PORT | cat\na\nb", "warning\n")
	u.types("run", "-a", "blog", "ls", "-a").want(t, 42, "ls -a\na\nb", "warning\n")
}

func TestARunThatCannotBeSaysWhy(t *testing.T) {
	c := runner(t, func(context.Context, string, platform.IO) (int, error) {
		return 0, &platform.UserError{Kind: platform.ErrUnavailable, Message: "no node of the platform answers"}
	})
	at(t, c).types("run", "-a", "blog", "ls").want(t, 6, "", "Error: no node of the platform answers\n")
}

func TestARunAsJSONIsCollected(t *testing.T) {
	c := newContract(t, map[string]string{"POST /v2/apps/blog/run": `{"exit_code":3,"output":"hi\n"}`})
	at(t, c).types("run", "--json", "-a", "blog", "echo hi").want(t, 3, "{\n  \"exit_code\": 3,\n  \"output\": \"hi\\n\"\n}\n", "")
}

func TestSignalsReachARunWithoutATerminal(t *testing.T) {
	c := runner(t, func(ctx context.Context, _ string, stream platform.IO) (int, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			return 0, err
		}
		select {
		case name := <-stream.Signals:
			fmt.Fprint(stream.Stdout, name)
			return 130, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	at(t, c).types("run", "-a", "blog", "sleep 9").want(t, 130, "INT", "")
}

// console is a user at a real terminal.
type console struct {
	*user
	keyboard *os.File // the far end of the terminal
	screen   *bufio.Reader
	tty      *os.File
	exit     chan int
}

func (u *user) atConsole(rows, cols uint16) *console {
	u.t.Helper()
	far, tty, err := pty.Open()
	if err != nil {
		u.t.Skipf("no pseudo-terminals here: %v", err)
	}
	u.t.Cleanup(func() { _ = errors.Join(far.Close(), tty.Close()) })
	if err := pty.Setsize(far, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		u.t.Fatal(err)
	}
	u.env = append(u.env, "TERM=xterm-256color")
	return &console{user: u, keyboard: far, screen: bufio.NewReader(far), tty: tty, exit: make(chan int, 1)}
}

func (c *console) starts(args ...string) {
	o := c.options(c.tty, c.tty, c.tty)
	go func() { c.exit <- execute(c.t.Context(), o, args) }()
}

// reads returns what the screen shows up to and with text.
func (c *console) reads(text string) string {
	c.t.Helper()
	var shown bytes.Buffer
	for !strings.Contains(shown.String(), text) {
		b, err := c.screen.ReadByte()
		if err != nil {
			c.t.Fatalf("the screen ended after %q: %v", shown.String(), err)
		}
		shown.WriteByte(b)
	}
	return shown.String()
}

func (c *console) presses(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.keyboard, keys); err != nil {
		c.t.Fatal(err)
	}
}

func TestARunOnATerminalIsATerminal(t *testing.T) {
	c := runner(t, func(_ context.Context, command string, stream platform.IO) (int, error) {
		terminal := stream.Terminal
		fmt.Fprintf(stream.Stdout, "%s on %s %dx%d\r\n", command, terminal.Term, terminal.Size.Cols, terminal.Size.Rows)
		size := <-terminal.Resize
		fmt.Fprintf(stream.Stdout, "now %dx%d\r\n", size.Cols, size.Rows)
		key := make([]byte, 1)
		_, err := io.ReadFull(stream.Stdin, key)
		fmt.Fprintf(stream.Stdout, "key %d\r\n", key[0])
		return 7, err
	})
	screen := at(t, c).atConsole(50, 132)
	before, err := term.GetState(int(screen.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	screen.starts("run", "-a", "blog", "bash")
	screen.reads("bash on xterm-256color 132x50\r\n")
	if err := pty.Setsize(screen.keyboard, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // a kernel tells only the terminal's own session
		t.Fatal(err)
	}
	screen.reads("now 80x24\r\n")
	screen.presses("\x03") // Ctrl-C is a key like others
	screen.reads("key 3\r\n")
	if exit := <-screen.exit; exit != 7 {
		t.Fatalf("exit %d", exit)
	}
	after, err := term.GetState(int(screen.tty.Fd()))
	if err != nil || *after != *before {
		t.Fatalf("the terminal was left as %+v, %v", after, err)
	}
}

func TestAPasswordIsAskedForWithoutEcho(t *testing.T) {
	c := loginContract(t)
	screen := newUser(t).atConsole(24, 80)
	screen.starts("login", c.URL)
	screen.reads("Username: ")
	screen.presses("bob\n")
	screen.reads("Password: ")
	screen.presses("secret\n")
	if shown := screen.reads("Logged in as bob"); strings.Contains(shown, "secret") {
		t.Fatalf("the screen shows %q", shown)
	}
	if exit := <-screen.exit; exit != 0 {
		t.Fatalf("exit %d", exit)
	}
}

func TestDestroyAsksForTheName(t *testing.T) {
	c := loginContract(t)
	screen := at(t, c).atConsole(24, 80)
	screen.starts("destroy", "-a", "blog")
	screen.reads("Type its name to go on: ")
	screen.presses("blog\n")
	screen.reads("done")
	if exit := <-screen.exit; exit != 0 || len(c.changes()) != 1 {
		t.Fatalf("exit %d, asked %v", exit, c.changes())
	}
}

func TestATableFitsTheTerminal(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/blog/releases/": `{"count":1,"next":null,"previous":null,"results":[
			{"version":2,"owner":"bob","summary":"bob added A_LONG_NAME, ANOTHER_LONG_NAME, YET_ANOTHER","state":"failed","created":"2016-10-18T11:57:00Z"}]}`,
	})
	screen := at(t, c).atConsole(24, 60)
	screen.starts("releases", "-a", "blog")
	want := "\x1b[2mRELEASE\x1b[m  \x1b[2mSTATE\x1b[m   \x1b[2mWHEN\x1b[m    \x1b[2mBY\x1b[m   \x1b[2mWHAT\x1b[m\r\n" +
		"v2       \x1b[31mfailed\x1b[m  3m ago  bob  bob added A_LONG_NAME, ANOTHE…\r\n"
	if got := screen.reads("…\r\n"); got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	<-screen.exit

	plain := at(t, c)
	plain.env = append(plain.env, "NO_COLOR=1")
	screen = plain.atConsole(24, 200)
	screen.starts("releases", "-a", "blog")
	if got := screen.reads("YET_ANOTHER\r\n"); strings.Contains(got, "\x1b") {
		t.Fatalf("got %q", got)
	}
	<-screen.exit
}
