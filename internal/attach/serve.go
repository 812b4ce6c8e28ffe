package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Open is what the asker wished for before the connection stood.
type Open struct {
	Terminal bool
	Term     string
	Size     platform.WindowSize
}

// errGone is the cause of a run's end when nobody listens any more.
var errGone = fmt.Errorf("%w: whoever asked has left", platform.ErrUnavailable)

// Serve is the side that runs the command: it calls run once with a stream
// that leads to the asker and tells the asker how run ended, behind all of its
// output. Writes to the stream block while the asker consumes nothing.
//
// It owns conn, which is closed when Serve returns. When ctx ends or the asker
// leaves, run's context ends and Serve waits for run to return. The stream is
// dead once run has returned. Serve returns nil when the asker was told.
func Serve(ctx context.Context, conn *websocket.Conn, open Open, run func(context.Context, platform.IO) (int, error)) error {
	alive, hangUp := context.WithCancelCause(ctx)
	s := &server{
		link: newLink(conn), alive: alive, hangUp: hangUp, in: newInbox(),
		resize: make(chan platform.WindowSize, 1), signals: make(chan string, 16),
	}
	s.out.window = newWindow()
	var work sync.WaitGroup
	work.Go(s.read)
	work.Go(func() { s.ping(alive) })
	defer work.Wait()
	defer conn.CloseNow()
	defer hangUp(context.Canceled)

	exit, err := run(alive, s.stream(open))
	s.in.abandon(io.EOF)
	if alive.Err() != nil {
		return context.Cause(alive)
	}
	// The window does not hold the end back: control has no credit.
	last := note{Exit: &exit}
	if err != nil {
		last = failure(err)
	}
	if err := s.sendNote(alive, last); err != nil {
		return errGone
	}
	// Close waits for the asker's answer, so the end has arrived. An asker
	// that was quicker to hang up has read it too.
	_ = conn.Close(websocket.StatusNormalClosure, "")
	return nil
}

type server struct {
	link
	alive  context.Context // ends when the asker leaves
	hangUp context.CancelCauseFunc
	in     *inbox // stdin that arrived
	out    struct {
		sync.Mutex // one writer takes of the window at a time
		*window
	}
	done struct {
		sync.Mutex
		consumed
	}
	resize  chan platform.WindowSize // capacity 1, the latest wins
	signals chan string
}

func (s *server) stream(open Open) platform.IO {
	stream := platform.IO{
		Stdin:   input{s},
		Stdout:  &output{s, stdout},
		Stderr:  &output{s, stderr},
		Signals: s.signals,
	}
	if open.Terminal {
		stream.Terminal = &platform.Terminal{Term: open.Term, Size: open.Size, Resize: s.resize}
	}
	return stream
}

func (s *server) read() {
	for {
		from, p, err := s.receive(s.alive)
		if err == nil {
			err = s.accept(from, p)
		}
		if err != nil {
			if !errors.Is(err, errProtocol) {
				err = errGone
			}
			s.hangUp(err)
			s.in.abandon(io.ErrUnexpectedEOF)
			s.conn.CloseNow()
			return
		}
	}
}

func (s *server) accept(from channel, p []byte) error {
	switch from {
	case stdin:
		return s.in.put(piece{stdin, p})
	case stdout, stderr:
		return errProtocol
	case control: // below
	}
	n, err := parseNote(p)
	switch {
	case err != nil:
		return err
	case n.EOF:
		s.in.finish(io.EOF)
	case n.Resize != nil:
		select { // make room: only this goroutine sends
		case <-s.resize:
		default:
		}
		s.resize <- *n.Resize
	case n.Signal != "":
		select {
		case s.signals <- n.Signal:
		default: // sixteen unheard signals are enough
		}
	case n.Credit != 0:
		return s.out.grant(n.Credit)
	}
	return nil
}

// input is the command's stdin.
type input struct{ *server }

func (i input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	got, err := i.in.next(len(p))
	if err != nil {
		return 0, err
	}
	if credit := i.took(len(got.data)); credit > 0 {
		_ = i.sendNote(i.alive, note{Credit: credit})
	}
	return copy(p, got.data), nil
}

func (s *server) took(n int) int {
	s.done.Lock()
	defer s.done.Unlock()
	return s.done.add(n)
}

// output is the command's stdout or stderr.
type output struct {
	*server
	to channel
}

func (o *output) Write(p []byte) (int, error) {
	o.out.Lock()
	defer o.out.Unlock()
	if err := sendAll(o.alive, o.link, o.out.window, o.to, p); err != nil {
		return 0, context.Cause(o.alive)
	}
	return len(p), nil
}
