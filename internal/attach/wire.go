// Package attach joins the two ends of a command that runs elsewhere: it is
// handed a WebSocket and a platform.IO, carries input, window sizes and signals
// one way and output the other, and hands back how the command ended.
//
// Every message is binary. Its first byte is a channel: 0 stdin, 1 stdout, 2
// stderr, 3 control; the rest is bytes of the stream, or one JSON object:
//
//	{"resize":{"rows":24,"cols":80}}   the asker's window changed
//	{"signal":"INT"}                   send the command a signal
//	{"eof":true}                       stdin has ended
//	{"credit":4096}                    so many bytes of the other's stream were consumed
//	{"exit":0}                         the command ended; nothing follows
//	{"error":"…","kind":"not found"}   it could not run; nothing follows
//
// Each side may have Window bytes of its streams on the way; credit gives them
// back. So both sides always read, control overtakes a stream nobody consumes,
// and pings are answered while a pager waits for its reader.
package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The bounds of the protocol, in bytes and time.
const (
	// Window is how much of its streams a side may have unconsumed at the other.
	Window = 256 << 10
	// chunk is the longest piece of a stream in one message.
	chunk = 32 << 10
	// maxMessage bounds what a side reads: a chunk, or a control object.
	maxMessage = chunk + 1<<10
	// keepalive is the pause between pings, and how long one may go unanswered.
	keepalive = 20 * time.Second
)

type channel byte

const (
	stdin channel = iota
	stdout
	stderr
	control
)

// note is a control message; one field is set (kind goes with error).
type note struct {
	Resize *platform.WindowSize `json:"resize,omitempty"`
	Signal string               `json:"signal,omitempty"`
	EOF    bool                 `json:"eof,omitempty"`
	Credit int                  `json:"credit,omitempty"`
	Exit   *int                 `json:"exit,omitempty"`
	Error  string               `json:"error,omitempty"`
	Kind   string               `json:"kind,omitempty"`
}

// errProtocol ends a connection whose other side breaks the rules above.
var errProtocol = errors.New("attach: the other side broke the protocol")

// link is one side of the connection.
type link struct{ conn *websocket.Conn }

func newLink(conn *websocket.Conn) link {
	conn.SetReadLimit(maxMessage)
	return link{conn}
}

// receive blocks for one message. Only one goroutine may receive.
func (l link) receive(ctx context.Context) (channel, []byte, error) {
	kind, message, err := l.conn.Read(ctx)
	switch {
	case err != nil:
		return 0, nil, err
	case kind != websocket.MessageBinary || len(message) == 0 || channel(message[0]) > control:
		return 0, nil, errProtocol
	}
	return channel(message[0]), message[1:], nil
}

func (l link) send(ctx context.Context, to channel, p []byte) error {
	message := make([]byte, 1+len(p))
	message[0] = byte(to)
	copy(message[1:], p)
	return l.conn.Write(ctx, websocket.MessageBinary, message)
}

func (l link) sendNote(ctx context.Context, n note) error {
	p, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return l.send(ctx, control, p)
}

func parseNote(p []byte) (note, error) {
	var n note
	if err := json.Unmarshal(p, &n); err != nil {
		return n, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return n, nil
}

// ping keeps the connection alive until ctx ends, and closes it when the other
// side stopped answering.
func (l link) ping(ctx context.Context) {
	tick := time.NewTicker(keepalive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		answer, cancel := context.WithTimeout(ctx, keepalive)
		err := l.conn.Ping(answer)
		cancel()
		if err != nil {
			l.conn.CloseNow()
			return
		}
	}
}

// kinds are the failures that keep their kind across the wire.
var kinds = []error{
	platform.ErrNotFound, platform.ErrForbidden, platform.ErrUnauthenticated,
	platform.ErrConflict, platform.ErrInvalid, platform.ErrBusy,
	platform.ErrUnavailable, platform.ErrUnprocessable,
}

func failure(err error) note {
	n := note{Error: err.Error()}
	if n.Error == "" {
		n.Error = "unknown error"
	}
	if len(n.Error) > chunk/8 { // JSON may need six bytes for one
		n.Error = n.Error[:chunk/8]
	}
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			n.Kind = kind.Error()
		}
	}
	return n
}

func (n note) failure() error {
	for _, kind := range kinds {
		if n.Kind == kind.Error() {
			return &platform.UserError{Kind: kind, Message: n.Error}
		}
	}
	return errors.New(n.Error)
}
