package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/router"
)

// Connections pass from node to node by a conversation of their own, which the
// new one begins before it takes over; a node that does not know it answers 404,
// and keeps its connections:
//
//	new  POST /connections
//	old  101, and, once the new one has taken over, again and again:
//	old  clientsMessage, with as many descriptors
//	new  one byte: they are its own now
//
// Until that byte has come they are the old one's, who only does not listen to
// them. One that waits no longer for it says so and shuts the conversation, so
// that a new one that was stopped meanwhile finds them taken back: nobody serves
// a connection that another serves.

type clientsMessage struct {
	Clients []netip.AddrPort `json:"clients"`
}

func (m *clientsMessage) descriptors() int { return len(m.Clients) }

// heir is whom connections are passed to. It may be nobody.
type heir struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

func (h *heir) set(conn *net.UnixConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		_ = h.conn.Close()
	}
	h.conn = conn
}

// passConnections is the older node's side: whoever asked last gets them.
func (n *node) passConnections(w http.ResponseWriter, _ *http.Request) {
	plain, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	conn := plain.(*net.UnixConn)
	n.heir.set(conn) // before it can say that it takes over
	if err := switchProtocols(conn, "connections"); err != nil {
		n.heir.set(nil)
	}
}

// passOn has the router pass its connections once it drains, if there is an heir.
func (n *node) passOn() {
	n.heir.mu.Lock()
	conn := n.heir.conn
	n.heir.mu.Unlock()
	if conn != nil {
		n.router.PassOn(func(some []router.Passed) error { return passTo(conn, some, handTime) })
	}
}

// passTo returns nil when the other node has them, and an error when it has not,
// nor ever will.
func passTo(conn *net.UnixConn, some []router.Passed, within time.Duration) error {
	var message clientsMessage
	var fds []int
	for _, p := range some {
		fds = append(fds, p.FD)
		message.Clients = append(message.Clients, p.Client)
	}
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	if _, _, err = conn.WriteMsgUnix(data, unix.UnixRights(fds...), nil); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err != nil && takeBack(conn) {
		return err
	}
	return nil
}

// takeBack ends the conversation. It reports false when the byte came before that.
func takeBack(conn *net.UnixConn) bool {
	_ = conn.SetDeadline(time.Now().Add(handTime))
	_, _ = conn.Write([]byte{0}) // or else it would take this end for dead
	_ = conn.CloseRead()         // from here on the byte cannot be sent: unix(7), EPIPE
	_ = conn.CloseWrite()
	n, _ := conn.Read(make([]byte, 1))
	return n == 0
}

// inheritConnections asks the node at socket for its connections. It returns nil
// without an error when that one keeps them.
func inheritConnections(socket string) (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(handTime))
	status, err := askToSwitch(conn, "/connections")
	if err != nil || status != http.StatusSwitchingProtocols {
		_ = conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// takeConnections serves what the older node passes until that one, or this one,
// ends.
func (n *node) takeConnections(conn *net.UnixConn) {
	if conn == nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(n.life, func() { _ = conn.Close() })
	defer stop()
	for {
		some, err := takeFrom(conn)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				n.log.Warn("connections of the node before were lost", "err", err)
			}
			return
		}
		n.router.Take(some)
	}
}

// takeFrom is the other side of passTo: what it returns is this node's alone.
func takeFrom(conn *net.UnixConn) ([]router.Passed, error) {
	some, err := receiveConnections(conn)
	if err != nil {
		return nil, err
	}
	if _, err = conn.Write([]byte{1}); err == nil {
		return some, nil
	}
	if _, over := conn.Read(make([]byte, 1)); errors.Is(over, io.EOF) {
		return some, nil // it died without having taken them back
	}
	for _, p := range some {
		unix.Close(p.FD)
	}
	return nil, err
}

func receiveConnections(conn *net.UnixConn) ([]router.Passed, error) {
	var message clientsMessage
	fds, err := receive(conn, &message)
	if err != nil {
		return nil, err
	}
	some := make([]router.Passed, len(fds))
	for i, fd := range fds {
		some[i] = router.Passed{FD: fd, Client: message.Clients[i]}
	}
	return some, nil
}

// receive reads a message of a conversation between nodes, and the descriptors
// that came with it: as many as it says.
func receive(conn *net.UnixConn, message interface{ descriptors() int }) (fds []int, err error) {
	buf, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, m, _, _, err := conn.ReadMsgUnix(buf, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	if fds, err = descriptors(rights[:m]); err == nil {
		err = json.Unmarshal(buf[:n], message)
	}
	if err != nil || len(fds) != message.descriptors() {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, errors.New("the node handed over something else than it said")
	}
	return fds, nil
}

// switchProtocols answers a request that begins a conversation.
func switchProtocols(conn net.Conn, protocol string) error {
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
	return err
}

// askToSwitch is the other side of switchProtocols. It reads byte by byte:
// descriptors ride on what follows the head.
func askToSwitch(conn net.Conn, path string) (status int, err error) {
	if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		return 0, err
	}
	var head []byte
	for one := make([]byte, 1); len(head) < 4 || string(head[len(head)-4:]) != "\r\n\r\n"; {
		if _, err := io.ReadFull(conn, one); err != nil {
			return 0, err
		}
		if head = append(head, one[0]); len(head) > 4096 {
			return 0, errors.New("the node's answer has no end")
		}
	}
	if _, err := fmt.Sscanf(string(head), "HTTP/1.1 %d", &status); err != nil {
		return 0, fmt.Errorf("the node answered %.40q", head)
	}
	return status, nil
}

// descriptors are what a message carried.
func descriptors(rights []byte) (all []int, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return all, err
		}
		all = append(all, fds...)
	}
	return all, nil
}
