package attach

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Join is the side of whoever asked: it sends stream's input, window sizes and
// signals, writes what comes back to stream's outputs, and blocks until the
// command ended and all of its output is written. A nil output discards.
//
// It owns conn, which is closed when Join returns. When ctx ends the other
// side ends the command and Join returns ctx's error; when the connection
// breaks first, the error matches platform.ErrUnavailable. A Read of
// stream.Stdin that is under way at the end cannot be interrupted: it is left
// to its reader, and what it returns is lost.
func Join(ctx context.Context, conn *websocket.Conn, stream platform.IO) (exit int, err error) {
	inner, cancel := context.WithCancel(ctx)
	a := &asker{link: newLink(conn), stream: stream, out: newWindow(), in: newInbox()}
	var work sync.WaitGroup
	work.Go(func() { a.read(inner) })
	work.Go(func() { a.sendControls(inner) })
	work.Go(func() { a.ping(inner) })
	go a.sendStdin(inner) // may hang in Stdin.Read: see above
	defer work.Wait()
	defer conn.CloseNow()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { a.in.abandon(context.Cause(ctx)) })
	defer stop()

	exit, err = a.write(inner)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return exit, err
}

type asker struct {
	link
	stream platform.IO
	out    *window // what may be sent of stdin
	in     *inbox  // output that arrived
	done   consumed
}

// ended carries how the command ended through the inbox, behind its output.
type ended struct {
	exit int
	err  error
}

func (e ended) Error() string { return fmt.Sprintf("ended with %d", e.exit) }

// read takes messages until the connection ends, which follows the command's end.
func (a *asker) read(ctx context.Context) {
	for {
		from, p, err := a.receive(ctx)
		if err == nil {
			err = a.accept(from, p)
		}
		if err != nil {
			a.in.finish(ended{err: broken(err)})
			a.conn.CloseNow()
			return
		}
	}
}

func broken(err error) error {
	if errors.Is(err, errProtocol) {
		return err
	}
	return fmt.Errorf("%w: the connection to the command broke before it ended", platform.ErrUnavailable)
}

func (a *asker) accept(from channel, p []byte) error {
	switch from {
	case stdout, stderr:
		return a.in.put(piece{from, p})
	case stdin:
		return errProtocol
	case control: // below
	}
	n, err := parseNote(p)
	switch {
	case err != nil:
		return err
	case n.Exit != nil:
		a.in.finish(ended{exit: *n.Exit})
	case n.Error != "":
		a.in.finish(ended{err: n.failure()})
	case n.Credit != 0:
		return a.out.grant(n.Credit)
	}
	return nil // notes of a newer side are passed over
}

// write hands output on in the order it was made, until the command's end.
func (a *asker) write(ctx context.Context) (int, error) {
	for {
		p, err := a.in.next(chunk)
		if end, ok := errors.AsType[ended](err); ok {
			return end.exit, end.err
		}
		if err != nil {
			return 0, err
		}
		to := a.stream.Stdout
		if p.from == stderr {
			to = a.stream.Stderr
		}
		if to != nil {
			if _, err := to.Write(p.data); err != nil {
				return 0, fmt.Errorf("write the command's output: %w", err)
			}
		}
		if credit := a.done.add(len(p.data)); credit > 0 {
			// An error shows in read as well, behind output that still arrives.
			_ = a.sendNote(ctx, note{Credit: credit})
		}
	}
}

func (a *asker) sendStdin(ctx context.Context) {
	if a.stream.Stdin != nil {
		buf := make([]byte, chunk)
		for {
			n, err := a.stream.Stdin.Read(buf)
			if sendAll(ctx, a.link, a.out, stdin, buf[:n]) != nil {
				return
			}
			if err != nil {
				break
			}
		}
	}
	_ = a.sendNote(ctx, note{EOF: true})
}

// sendAll sends p as the window allows.
func sendAll(ctx context.Context, l link, w *window, to channel, p []byte) error {
	for len(p) > 0 {
		n, err := w.take(ctx, len(p))
		if err != nil {
			return err
		}
		if err := l.send(ctx, to, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (a *asker) sendControls(ctx context.Context) {
	var resize <-chan platform.WindowSize
	if a.stream.Terminal != nil {
		resize = a.stream.Terminal.Resize
	}
	signals := a.stream.Signals
	for {
		var n note
		select {
		case <-ctx.Done():
			return
		case size, open := <-resize:
			if !open {
				resize = nil
				continue
			}
			n.Resize = &size
		case name, open := <-signals:
			if !open {
				signals = nil
				continue
			}
			n.Signal = name
		}
		if a.sendNote(ctx, n) != nil {
			return
		}
	}
}
