package gitserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// stall is how long a client may leave its bytes lying before it counts as gone.
	stall = 30 * time.Second
	// lastWords is how long git may take to tell the user about a push that
	// was cancelled or took too long. It takes as long on no machine, however
	// busy: who hangs is ended.
	lastWords = 10 * time.Second
)

// client is the far end of a git conversation, at either door.
type client struct {
	caller   platform.Caller
	in       io.Reader
	out      io.Writer
	stderr   io.Writer // beside the conversation
	hangUp   func()    // makes blocked reads and writes return
	protocol string    // GIT_PROTOCOL
	// stateless: over HTTP the refs were listed by a request before.
	stateless bool
	// drain reads what is left of a request, within reason, where the answer
	// may only begin when the request has ended. Else nil.
	drain func()
}

// answers is where git's output goes to, once fed is closed where the door has
// to wait for that.
func (c client) answers(fed <-chan struct{}) io.Writer {
	if c.drain == nil {
		return c.out
	}
	return held{c.out, fed}
}

// held is a writer that waits.
type held struct {
	io.Writer
	until <-chan struct{}
}

func (h held) Write(p []byte) (int, error) {
	<-h.until
	return h.Writer.Write(p)
}

// release waits until nobody reads from the client any more, where a reader
// must not stay behind.
func (c client) release(fed <-chan struct{}) {
	if c.drain == nil {
		return
	}
	select {
	case <-fed:
	case <-time.After(stall):
		c.hangUp()
		<-fed
	}
}

// receive lets a client push to an app and returns git's exit code. The push
// goes on to its end when the client leaves. An error means that git was not
// reached: errOngoing, errClosing, or a fault of the machine.
func (s *Server) receive(ctx context.Context, app string, c client) (int, error) {
	ctx, end, err := s.pushes.take(ctx, app)
	if err != nil {
		return 0, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()

	repo, err := s.repos.ensure(ctx, app)
	if err != nil {
		return 0, err
	}
	guard, err := awaitLock(ctx, filepath.Join(repo, pushLock))
	if errors.Is(err, platform.ErrBusy) {
		return 0, errOngoing
	}
	if err != nil {
		return 0, err
	}
	defer guard.Close() // nothing was written
	sweep(repo)

	p := &push{server: s, app: app, repo: repo, client: c}
	code, err := p.run(ctx, guard)
	s.log.Info("git push ended", "app", app, "user", c.caller.User, "exit", code, "err", err)
	if p.accepted {
		s.repos.adoptHead(ctx, repo, p.deployed)
		s.startUpkeep(ctx, app, repo)
	}
	return code, err
}

// push is one run of git receive-pack. We stand between it and the client, so
// that it never notices when the client leaves.
type push struct {
	server *Server
	app    string
	repo   string
	client client

	accepted bool   // the hook said yes
	deployed string // the ref that was built, if any
}

// run starts git, pumps its input and output, answers its hook, and returns
// its exit code when all three are over. guard stays locked until git and all
// its children are gone, even if we are not here to see it.
func (p *push) run(ctx context.Context, guard *os.File) (int, error) {
	pipes, err := newHookPipes()
	if err != nil {
		return 0, err
	}
	defer pipes.close()
	running, kill := outlast(ctx, lastWords)
	defer kill()
	cmd := p.server.git.command(running, p.repo, p.args()...)
	cmd.ExtraFiles = append(pipes.child[:], guard)
	cmd.Stderr = p.client.stderr
	speak(cmd, p.client.protocol)
	stdin, stdout, err := start(cmd)
	pipes.closeChild()
	if err != nil {
		return 0, err
	}

	fed := p.server.feed(stdin, p.client)
	out := newOutbox(p.client.answers(fed), stall, p.client.hangUp)
	var pumps sync.WaitGroup
	pumps.Go(func() { p.relay(stdout, out) })
	pumps.Go(func() { p.answer(ctx, pipes) })

	err = cmd.Wait()
	if running.Err() != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // mostly nobody is left
	}
	pipes.proposal.Close() // unblocks answer when git never ran the hook
	pumps.Wait()
	stdout.Close() // read to its end
	out.Close("", stall)
	p.client.release(fed)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return exitCode(cmd), fmt.Errorf("git receive-pack: %w", err)
	}
	return exitCode(cmd), nil
}

func (p *push) args() []string {
	if p.client.stateless {
		return []string{"receive-pack", "--stateless-rpc", p.repo}
	}
	return []string{"receive-pack", p.repo}
}

// outlast returns a context that ends some time after ctx does.
func outlast(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// start starts cmd with pipes that outlive cmd.Wait.
func start(cmd *exec.Cmd) (stdin, stdout *os.File, err error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer in.Close() // the child has its own
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, stdin.Close())
	}
	defer out.Close() // the child has its own
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, stdin.Close(), stdout.Close())
	}
	return stdin, stdout, nil
}

// feed gives git what the client sends, until the client ends or git has had
// enough; then the channel closes.
func (s *Server) feed(stdin io.WriteCloser, c client) <-chan struct{} {
	fed := make(chan struct{})
	s.work.Go(func() {
		defer close(fed)
		io.Copy(stdin, c.in) //nolint:errcheck // git says what it misses
		stdin.Close()        // git may be gone
		if c.drain != nil {
			c.drain()
		}
	})
	return fed
}

// relay passes on what git says, packet by packet, and adds the cure where git
// only states that a push is too large.
func (p *push) relay(stdout io.Reader, out io.Writer) {
	from := bufio.NewReaderSize(stdout, maxPacket)
	buf := make([]byte, maxPacket)
	for {
		frame, err := readPacket(from, buf)
		if err != nil {
			break
		}
		out.Write(frame) //nolint:errcheck // an outbox takes everything
		if bytes.Contains(frame, []byte("pack exceeds maximum allowed size")) {
			out.Write(bandPacket(bandProgress, p.server.tooLarge())) //nolint:errcheck // as above
		}
	}
	io.Copy(io.Discard, from) //nolint:errcheck // git must not be held up
}

func (s *Server) tooLarge() string {
	return complaint(&platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("This push is larger than %s, the most that %s takes in one push.", byteSize(s.opts.MaxPushBytes), s.opts.Name),
		Cure: "Keep large files out of git: list them in .gitignore, take them out of the commits (git rm --cached, git commit --amend),\n" +
			"and use git-lfs or object storage. The operator can raise the limit: " + s.opts.Name + " serve --max-push",
	})
}

func byteSize(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
