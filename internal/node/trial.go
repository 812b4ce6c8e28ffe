package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A successor is on trial at first. The node before accepts nothing any more,
// and keeps all that it has: its connections, which it goes on to serve by the
// table that the successor tells, the lock, and the listening sockets. When the
// successor dies on trial, what came to the sockets meanwhile waits in the
// kernel, and the node before takes it: nobody is refused. Lost is what the dead
// one had accepted.
//
// It is a substitute then. It serves by the table it was told last, and does not
// supervise: what runs by now the dead one knew. It hands over to whoever comes
// next, and has the name of the node's socket and the lock for that; a control
// plane starts another as soon as it sees a substitute.
//
// The trial ends well after a time; when the successor says so, for it is about
// to hand over itself, or was told to leave; and with a successor that does not
// know of it at once.

// successor is the newer node, as the old one sees it.
type successor struct {
	conn     *net.UnixConn
	cutovers func() []platform.CutoverReport
	process  int           // a pidfd; -1: it is not on trial
	well     chan struct{} // closed when it says so
	gone     chan struct{} // closed when the conversation has ended

	mu   sync.Mutex
	told []platform.CutoverReport
}

// newSuccessor is to be called while it waits for an answer, and so lives: of a
// process that has ended nobody can be told when it ends.
func newSuccessor(conn *net.UnixConn, cutovers func() []platform.CutoverReport) *successor {
	return &successor{conn: conn, cutovers: cutovers, process: peerProcess(conn), well: make(chan struct{}), gone: make(chan struct{})}
}

// trust ends its trial, or has it never begin.
func (s *successor) trust() {
	if s.process >= 0 {
		_ = unix.Close(s.process)
	}
	s.process = -1
}

// peerProcess is a pidfd of who made the connection, or -1.
func peerProcess(conn *net.UnixConn) int {
	peer := peerOf(conn)
	if peer == nil || peer.Pid <= 1 {
		return -1
	}
	fd, err := unix.PidfdOpen(int(peer.Pid), 0)
	if err != nil {
		return -1
	}
	return fd
}

// close ends the conversation, which is known to be over then.
func (s *successor) close() {
	_ = s.conn.Close()
	close(s.gone)
}

// died reports whether it has ended without having said that it is well. The
// end of the conversation alone does not tell: it may have given this node up.
func (s *successor) died() bool {
	select {
	case <-s.well:
		return false
	default:
	}
	for deadline := time.Now().Add(handTime); ; {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.process), Events: unix.POLLIN}}, int(left.Milliseconds())) //nolint:gosec // a descriptor
		if err != unix.EINTR {
			return n == 1
		}
	}
}

// tell sends a line; a successor that does not take it is given up.
func (s *successor) tell(c tableChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(c)
}

// send is tell with s.mu held.
func (s *successor) send(c tableChange) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(handTime))
	if err := json.NewEncoder(s.conn).Encode(c); err != nil {
		_ = s.conn.Close()
	}
}

// tellCounts tells what is counted of cutovers, where that is news.
func (s *successor) tellCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts := s.cutovers(); !slices.Equal(counts, s.told) {
		s.told = counts
		s.send(tableChange{Cutovers: counts})
	}
}

// count tells the counts until ctx ends.
func (s *successor) count(ctx context.Context) {
	for sleep(ctx, counting) {
		s.tellCounts()
	}
}

// tryOut has the successor accept instead of this node, and returns when its
// trial is over: nil when it is well, and what was kept for this node to go on
// with when it has died.
func (n *node) tryOut(ctx context.Context, s *successor) (kept *estate) {
	defer s.trust()
	kept, err := n.keepListeners()
	if err != nil {
		n.log.Warn("listeners could not be kept, the successor is not tried out", "err", err)
	}
	n.stopAccepting()
	n.endTrial()                       // one that stands by is enough
	s.tell(tableChange{Retired: true}) // it goes on without
	n.log.Info("a successor has taken over")
	if err == nil && s.process >= 0 {
		late := time.NewTimer(n.opt.Trial)
		defer late.Stop()
		select {
		case <-late.C:
		case <-s.well:
		case <-ctx.Done():
		case <-s.gone:
			if s.died() {
				return kept
			}
		}
	}
	kept.decline()
	return nil
}

func (n *node) stopAccepting() {
	n.router.StopAccepting()
	n.shutMetrics()
}

// endTrial says that the node before need not stand by, nor hold a socket, any more.
func (n *node) endTrial() { n.front.tell(tableChange{Well: true}) }

// retire is the end of a node whose successor is well.
func (n *node) retire(s *successor) {
	n.passOn()
	n.router.SetQuiet(n.opt.DrainTimeout / 2) // somebody else has the ports: there is time
	n.router.StartDraining()
	_ = n.lock.Close() // the successor's is the same; when it dies, another may begin
	go func() {        // ends with the conversation, at the latest with this node
		<-s.gone
		n.router.SetQuiet(0) // nobody tells the table any more: what can go, goes
	}()
	n.drain(false)
	n.awaitPredecessor()
	s.tellCounts() // the last
}

// substitute goes on in place of a successor that died.
func (n *node) substitute(kept *estate, work *sync.WaitGroup, failed chan<- error) error {
	n.log.Error("the successor died soon after it had taken over: this node accepts again, and serves what it was told last until there is another")
	n.substitutes.Store(true)
	if err := errors.Join(kept.unkeep(), n.open(kept, work, failed)); err != nil {
		return fmt.Errorf("accept again: %w", err)
	}
	if err := n.control.bind(); err != nil {
		return err
	}
	return n.control.answer()
}

// listeners are the node's, by the names that they pass on by.
func (n *node) listeners() map[string]net.Listener {
	all, doors := n.ports.named(), n.doors.Load()
	all["http "+n.opt.HTTP], all["https "+n.opt.HTTPS] = doors.http, doors.https
	all["metrics "+n.opt.Metrics] = doors.metrics
	return all
}

// keepListeners keeps the sockets of all listeners, whoever closes those. Nobody
// accepts from what is kept.
func (n *node) keepListeners() (*estate, error) {
	kept := &estate{kept: make(map[string]int)}
	for name, ln := range n.listeners() {
		fd, ok, err := sameSocket(ln)
		if err != nil {
			return kept, err
		}
		if ok {
			kept.kept[name] = fd
		}
	}
	return kept, nil
}

// sameSocket is another descriptor of a listener's socket; ok: there is a
// listener, and it is open. Its own number may be of something else in a moment.
func sameSocket(ln net.Listener) (fd int, ok bool, err error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return 0, false, nil
	}
	raw, closed := tcp.SyscallConn()
	if closed == nil {
		closed = raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	}
	return fd, closed == nil && err == nil, os.NewSyscallError("fcntl", err)
}

// unkeep makes listeners of what was kept.
func (e *estate) unkeep() error {
	e.listeners = make(map[string]net.Listener)
	var failed error
	for name, fd := range e.kept {
		delete(e.kept, name)
		ln, err := listenerOf(fd)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("listen again at %s: %w", name, err))
			continue
		}
		e.listeners[name] = ln
	}
	return failed
}

// listenerOf takes the descriptor over.
func listenerOf(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "inherited") //nolint:gosec // a descriptor
	defer file.Close()
	return net.FileListener(file) // a copy
}
