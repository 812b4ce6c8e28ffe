package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A hand-over, over the older node's socket:
//
//	new  POST /handover
//	old  101: it is well
//	old  freezes: starts, stops, probes, reports and writes nothing more
//	old  one message: estateMessage, with the descriptors of the lock and of
//	     the listeners: the same sockets, so no connection in a queue is lost
//	new  adopts, sets its router up, asks what the old one has learnt (see
//	     inheritance.go), accepts requests
//	new  {"take":true,"tried":true}
//	old  stops accepting, {"retired":true}
//	old  tells what it counts of cutovers meanwhile
//	new  supervises, and tells the old router every change of the table, as
//	     its last connections are led by it still
//	new  {"well":true} when it leaves or hands over itself
//	old  after that or a time, drains, ends: see trial.go
//
// Whoever dies on the way leaves one: until "take" has come, the end of the
// connection makes the old one resume; from then on it never supervises again,
// and accepts again when the new one dies while it is on trial.
// The lock is the same open file in both, so nobody else can step in between.

const (
	patience   = 20 * time.Second // to become the node of a directory
	handTime   = 5 * time.Second  // for an old node to answer
	freezeTime = 10 * time.Second // and then to freeze: a disk may be slow
	takenTime  = 30 * time.Second // for a new one to be ready
)

// maxDescriptors is how many one message carries (unix(7), SCM_RIGHTS).
const maxDescriptors = 253

// errReset is what the end of a connection may look like as well.
var errReset error = syscall.ECONNRESET

// estate is what a node begins with.
type estate struct {
	lock        *os.File
	listeners   map[string]net.Listener // by "http :8080"
	predecessor *predecessor            // nil: there was none
	connections *net.UnixConn           // see takeConnections; nil: there are none
	kept        map[string]int          // sockets that listeners are to be made of: see trial.go
}

type estateMessage struct {
	Listeners []string `json:"listeners"`
}

func (m *estateMessage) descriptors() int { return 1 + len(m.Listeners) } // the lock is the first

// succeed makes this process the only node of the directory: with what an
// older one hands over, or with a free lock.
func succeed(ctx context.Context, log *slog.Logger, o Options) (*estate, error) {
	path := filepath.Join(o.Dir, "lock")
	for deadline := time.Now().Add(patience); ; {
		lock, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return &estate{lock: lock}, nil
		}
		e, err := inherit(ctx, log, o.Socket)
		if err == nil {
			return e, nil
		}
		log.Debug("the node that runs did not hand over", "err", err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Now().After(deadline) {
			return nil, &platform.UserError{
				Kind:    platform.ErrConflict,
				Message: fmt.Sprintf("another node holds %s and does not hand over at %s: %v", path, o.Socket, err),
				Cure:    "End it (see fuser " + path + ") and start again; its apps run on.",
			}
		}
		if !sleep(ctx, 25*time.Millisecond) { // it may be about to begin, or to end
			return nil, ctx.Err()
		}
	}
}

// tryLock returns nil without an error when somebody else has the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the node's directory: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock the node's directory: %w", err)
}

// inherit asks the node at socket to hand over. One that takes the connection
// and does not answer hangs, and is killed: its apps run on.
func inherit(ctx context.Context, log *slog.Logger, socket string) (*estate, error) {
	plain, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn := plain.(*net.UnixConn)
	_ = conn.SetDeadline(time.Now().Add(handTime))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	e, err := receiveEstate(ctx, conn)
	if err == nil {
		_ = conn.SetDeadline(time.Time{})
		if e.connections, err = inheritConnections(socket); err != nil {
			log.Warn("connections of the node before stay with it", "err", err)
		}
		return e, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		killPeer(log, conn)
	}
	_ = conn.Close()
	return nil, err
}

func receiveEstate(ctx context.Context, conn *net.UnixConn) (*estate, error) {
	status, err := askToSwitch(conn, "/handover")
	if err != nil {
		return nil, err
	}
	if status != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the node answered %d", status)
	}
	_ = conn.SetDeadline(time.Now().Add(freezeTime))
	if ctx.Err() != nil { // which had set another
		return nil, ctx.Err()
	}
	var message estateMessage
	fds, err := receive(conn, &message)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "inherited"))
	}
	e := &estate{lock: files[0], listeners: make(map[string]net.Listener), predecessor: newPredecessor(conn)}
	for i, name := range message.Listeners {
		ln, err := net.FileListener(files[i+1]) // a copy
		_ = files[i+1].Close()
		if err != nil {
			for _, file := range files { // the lock above all: nobody would have it, and nobody get it
				_ = file.Close()
			}
			e.decline()
			return nil, fmt.Errorf("take over %s: %w", name, err)
		}
		e.listeners[name] = ln
	}
	return e, nil
}

// peerOf says who is at the other end; nil: that is not known.
func peerOf(conn *net.UnixConn) (peer *unix.Ucred) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return nil
	}
	return peer
}

func killPeer(log *slog.Logger, conn *net.UnixConn) {
	peer := peerOf(conn)
	if peer == nil || peer.Pid <= 1 || int(peer.Pid) == os.Getpid() || int(peer.Uid) != os.Geteuid() {
		return
	}
	log.Warn("the node that ran did not answer and was killed; its apps run on", "pid", peer.Pid)
	_ = unix.Kill(int(peer.Pid), unix.SIGKILL)
}

// decline lets the older node resume.
func (e *estate) decline() {
	for _, fd := range e.kept {
		_ = unix.Close(fd)
	}
	for _, ln := range e.listeners {
		_ = ln.Close()
	}
	if e.predecessor != nil {
		_ = e.predecessor.conn.Close()
	}
	if e.connections != nil {
		_ = e.connections.Close()
	}
}

// take makes the older node retire. When it does not answer it is dead, or
// will learn of it when it looks: the word is in its socket. An error says that
// it waited no longer and is in office again: this one may not be.
func (e *estate) take(ctx context.Context, log *slog.Logger, socket string) error {
	if e.predecessor == nil || e.predecessor.retire(log) {
		return nil
	}
	return inOffice(ctx, socket)
}

// awaited is take's error before anybody was served: who is late knows what was
// when the older node handed over, and would lead requests to what is gone.
func (e *estate) awaited(ctx context.Context, socket string) error {
	if e.predecessor == nil || !e.predecessor.ended() {
		return nil
	}
	return inOffice(ctx, socket)
}

// inOffice returns an error unless the older node is dead.
func inOffice(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{Timeout: handTime}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil //nolint:nilerr // it is dead
	}
	_ = conn.Close()
	return &platform.UserError{
		Kind:    platform.ErrConflict,
		Message: fmt.Sprintf("the node that runs waited %s for this one to be ready, and serves on", takenTime),
		Cure:    "Start it again; when that ends so too, its log at --verbose shows what takes so long.",
	}
}

// handOver is the older node's side.
func (n *node) handOver(w http.ResponseWriter, _ *http.Request) {
	if !n.handing.TryLock() {
		http.Error(w, "another node is taking over", http.StatusServiceUnavailable)
		return
	}
	defer n.handing.Unlock()
	plain, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	conn := plain.(*net.UnixConn)
	defer conn.Close()
	after := newSuccessor(conn, n.router.Cutovers)
	if err := switchProtocols(conn, "handover"); err != nil {
		after.trust()
		return
	}
	had := n.freezeDuties()
	tried, err := n.offer(conn)
	if err != nil || !tried {
		after.trust()
	}
	if err != nil {
		n.log.Warn("hand-over ended early, this node goes on", "err", err)
		if had {
			n.resumeDuties()
		}
		return
	}
	n.control.yield() // also when it leaves: what it removed at its end would be the successor's
	defer after.close()
	select {
	case n.succeeded <- after:
	case <-n.serving.Done(): // it leaves anyhow
		after.trust()
		after.tell(tableChange{Retired: true})
	}
	n.mirror(after)
}

// offer returns without an error once the successor has taken over: then tried
// says that it knows of its trial.
func (n *node) offer(conn *net.UnixConn) (tried bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(takenTime))
	kept, err := n.keepListeners()
	defer kept.decline()
	if err != nil {
		return false, err
	}
	fds := []int{int(n.lock.Fd())}
	var message estateMessage
	for name, fd := range kept.kept {
		if len(fds) == maxDescriptors {
			break // the successor opens the rest by itself
		}
		fds = append(fds, fd)
		message.Listeners = append(message.Listeners, name)
	}
	data, err := json.Marshal(message)
	if err != nil {
		return false, err
	}
	if _, _, err := conn.WriteMsgUnix(data, unix.UnixRights(fds...), nil); err != nil {
		return false, err
	}
	var answer tableChange
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return false, err
	}
	if !answer.Take {
		return false, errors.New("the successor did not take over")
	}
	return answer.Tried, conn.SetDeadline(time.Time{})
}

// tableChange is one line of the conversation after the descriptors.
type tableChange struct {
	Take    bool `json:"take,omitempty"`
	Tried   bool `json:"tried,omitempty"` // with Take: it will say Well
	Retired bool `json:"retired,omitempty"`
	Well    bool `json:"well,omitempty"`

	Edge     *platform.EdgeState `json:"edge,omitempty"`
	Route    *platform.Route     `json:"route,omitempty"`
	Unroute  string              `json:"unroute,omitempty"` // app
	Instance *instanceChange     `json:"instance,omitempty"`
	Remove   string              `json:"remove,omitempty"` // instance
	Drain    string              `json:"drain,omitempty"`  // instance
	Drained  string              `json:"drained,omitempty"`

	Cutovers []platform.CutoverReport `json:"cutovers,omitempty"`
}

type instanceChange struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Up      bool   `json:"up"`
	// Ports are the further ones: see router.SetPorts.
	Ports map[int]string `json:"ports,omitempty"`
}

// mirror makes the successor's changes in this node's router, whose last
// connections still need a true table, and in that of the node before, until the
// successor or this node ends.
func (n *node) mirror(after *successor) {
	stop := context.AfterFunc(n.life, func() { _ = after.conn.Close() })
	defer stop()
	counting, end := context.WithCancel(n.life)
	defer end()
	go after.count(counting)
	well := sync.OnceFunc(func() { close(after.well) })
	lines := json.NewDecoder(after.conn)
	for {
		var c tableChange
		if err := lines.Decode(&c); err != nil {
			return
		}
		switch {
		case c.Well:
			well()
		case c.Edge != nil:
			n.front.SetEdge(*c.Edge)
		case c.Route != nil:
			n.front.SetRoute(c.Route.App, c.Route)
		case c.Unroute != "":
			n.front.SetRoute(c.Unroute, nil)
		case c.Instance != nil:
			n.front.SetPorts(c.Instance.ID, c.Instance.Address, c.Instance.Ports, c.Instance.Up)
		case c.Remove != "":
			n.front.RemoveInstance(c.Remove)
		case c.Drain != "":
			go func() { // ends with the drain, at the latest with the router
				_ = n.front.Drain(n.life, c.Drain, 0)
				after.tell(tableChange{Drained: c.Drain})
			}()
		}
	}
}
