package gitserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	handshakeTimeout = 20 * time.Second
	maxAuthTries     = 10 // an agent offers every key it holds
	maxChannels      = 8  // on one connection
	keepaliveEvery   = 30 * time.Second
	// idleTimeout ends a connection that is kept open without a command.
	idleTimeout = 10 * time.Minute
)

// ServeSSH serves git on a listener until ctx ends or Close is called, and
// then returns nil; conversations that are under way go on. It closes the
// listener.
func (s *Server) ServeSSH(ctx context.Context, listener net.Listener) error {
	if !s.doors.listen(listener) {
		return errors.Join(errClosing, listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() }) // Accept says so
	defer stop()
	for {
		conn, err := listener.Accept()
		var fault net.Error
		switch {
		case err == nil:
			s.admit(ctx, conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.As(err, &fault): // out of descriptors, or the client left
			s.log.Warn("git connection was not accepted", "err", err)
			pause(ctx, 100*time.Millisecond)
		default:
			return fmt.Errorf("git over SSH: %w", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (s *Server) admit(ctx context.Context, conn net.Conn) {
	if !s.doors.enter(conn, s.opts.MaxConnections) {
		s.log.Warn("git connection was refused: too many are open", "from", conn.RemoteAddr().String())
		conn.Close() // nobody was served
		return
	}
	s.work.Go(func() {
		defer s.doors.leave(conn)
		defer conn.Close() // it may be closed already
		s.serveConn(context.WithoutCancel(ctx), conn)
	})
}

// keyExtra is where the offered key stands in a connection's permissions.
const keyExtra = "slipway-key"

// sshConfig admits holders of a known key, under any user name.
func (s *Server) sshConfig(signers []ssh.Signer) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-Slipway",
		MaxAuthTries:  maxAuthTries,
		PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
			defer cancel()
			if _, _, err := s.auth.ByKey(ctx, key.Marshal()); err != nil {
				if !errors.Is(err, platform.ErrUnauthenticated) && !errors.Is(err, platform.ErrNotFound) {
					s.log.Error("git key was not looked up", "err", err)
				}
				return nil, err
			}
			return &ssh.Permissions{Extensions: map[string]string{keyExtra: string(key.Marshal())}}, nil
		},
	}
	for _, signer := range signers {
		config.AddHostKey(signer)
	}
	return config
}

// sshConn is one authenticated connection.
type sshConn struct {
	server   *Server
	conn     *ssh.ServerConn
	key      []byte // wire format
	channels atomic.Int32
	used     atomic.Int64 // when the last channel opened or closed, unix seconds
}

func (s *Server) serveConn(ctx context.Context, raw net.Conn) {
	raw.SetDeadline(time.Now().Add(handshakeTimeout)) //nolint:errcheck // every net.Conn of a listener has one
	prompt := newPromptConn(raw)
	conn, channels, requests, err := ssh.NewServerConn(prompt, s.ssh)
	if err != nil {
		s.log.Debug("git handshake ended", "from", raw.RemoteAddr().String(), "err", err)
		return
	}
	raw.SetDeadline(time.Time{}) //nolint:errcheck // as above
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &sshConn{server: s, conn: conn, key: []byte(conn.Permissions.Extensions[keyExtra])}
	c.used.Store(time.Now().Unix())

	var parts sync.WaitGroup
	parts.Go(func() { ssh.DiscardRequests(requests) })
	parts.Go(func() { c.keepAlive(ctx) })
	for fresh := range channels {
		c.open(ctx, &parts, fresh)
		prompt.settled.Store(true)
	}
	cancel() // fetches end with the connection; pushes do not
	parts.Wait()
}

func (c *sshConn) open(ctx context.Context, parts *sync.WaitGroup, fresh ssh.NewChannel) {
	if fresh.ChannelType() != "session" {
		fresh.Reject(ssh.UnknownChannelType, c.server.opts.Name+" speaks git here, nothing else") //nolint:errcheck // the connection may be gone
		return
	}
	if c.channels.Load() >= maxChannels {
		fresh.Reject(ssh.ResourceShortage, "too many sessions on this connection") //nolint:errcheck // as above
		return
	}
	channel, requests, err := fresh.Accept()
	if err != nil {
		return
	}
	c.channels.Add(1)
	parts.Go(func() {
		session := &session{conn: c, channel: channel}
		session.serve(ctx, requests)
		c.used.Store(time.Now().Unix())
		c.channels.Add(-1)
	})
}

// keepAlive notices clients that vanished without a word, and ends connections
// that nobody uses.
func (c *sshConn) keepAlive(ctx context.Context) {
	tick := time.NewTicker(keepaliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		idle := time.Since(time.Unix(c.used.Load(), 0))
		if c.channels.Load() == 0 && idle > idleTimeout || !c.alive() {
			c.conn.Close() // it may be closed already
			return
		}
	}
}

// alive asks the client for a sign of life and waits one round for it.
func (c *sshConn) alive() bool {
	late := time.AfterFunc(keepaliveEvery, func() { c.conn.Close() }) // it may be closed already
	defer late.Stop()
	_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}
