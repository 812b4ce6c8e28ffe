package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/platform"
)

// session is one SSH channel: it runs one command and ends.
type session struct {
	conn     *sshConn
	channel  ssh.Channel
	protocol string // GIT_PROTOCOL, when the client sent it
}

// serve answers the channel's requests until it is closed. The first exec or
// shell request is the command; it runs beside the loop.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ended := make(chan struct{})
	started := false
	for request := range requests {
		switch {
		case request.Type == "env":
			s.env(request.Payload)
			answer(request, true)
		case started || request.Type != "exec" && request.Type != "shell":
			answer(request, false)
		default:
			started = true
			answer(request, true)
			go func() {
				defer close(ended)
				leave := s.conn.server.pushes.visit()
				defer leave()
				s.exit(s.start(ctx, request))
			}()
		}
	}
	if started {
		<-ended
	}
	s.channel.Close() // it may be closed already
}

func answer(request *ssh.Request, ok bool) {
	if request.WantReply {
		request.Reply(ok, nil) //nolint:errcheck // the client may be gone
	}
}

// env takes the one variable git needs and ignores all others.
func (s *session) env(payload []byte) {
	var variable struct{ Name, Value string }
	if ssh.Unmarshal(payload, &variable) == nil && variable.Name == "GIT_PROTOCOL" {
		s.protocol = variable.Value
	}
}

func (s *session) exit(code int) {
	status := struct{ Status uint32 }{uint32(code)}
	s.channel.SendRequest("exit-status", false, ssh.Marshal(status)) //nolint:errcheck // the client may be gone
	s.channel.Close()                                                // as above
}

// start runs what an exec or shell request asks for and returns its exit code.
func (s *session) start(ctx context.Context, request *ssh.Request) int {
	server := s.conn.server
	// The key is looked up again: it may be gone while its connection stays.
	caller, _, err := server.auth.ByKey(ctx, s.conn.key)
	if err != nil {
		return s.refuse(server.refusal("", err))
	}
	caller.From = hostOf(s.conn.conn.RemoteAddr().String())
	if request.Type == "shell" {
		return s.greet(caller)
	}
	var line struct{ Command string }
	if err := ssh.Unmarshal(request.Payload, &line); err != nil {
		return s.refuse("not a request for a command")
	}
	cmd, err := parseCommand(line.Command)
	switch {
	case errors.Is(err, errNotCommand):
		return s.refuse(server.opts.Name + " speaks git here, and has no other commands: use git push, git fetch or git clone")
	case err != nil:
		return s.refuse(err.Error())
	case cmd.service == "ping":
		io.WriteString(s.channel, "pong") //nolint:errcheck // the client may be gone
		return 0
	}
	return s.git(ctx, caller, cmd)
}

func (s *session) git(ctx context.Context, caller platform.Caller, cmd command) int {
	server := s.conn.server
	if err := server.desk.Authorize(ctx, caller, cmd.app); err != nil {
		return s.refuse(server.refusal(cmd.app, err))
	}
	c := client{
		caller: caller, in: s.channel, out: s.channel, stderr: s.channel.Stderr(), protocol: s.protocol,
		hangUp: func() { s.conn.conn.Close() }, // it may be closed already
	}
	serve := server.fetch
	if cmd.service == receivePack {
		serve = server.receive
	}
	code, err := serve(ctx, cmd.app, c)
	switch {
	case err == nil:
		return code
	case errors.Is(err, platform.ErrBusy):
		s.channel.Write(errorPacket(err.Error())) //nolint:errcheck // the client may be gone
		return 128
	}
	return s.refuse(server.refusal(cmd.app, err))
}

// greet is the answer to "ssh host", where a shell would be.
func (s *session) greet(caller platform.Caller) int {
	name := s.conn.server.opts.Name
	fmt.Fprintf(s.channel.Stderr(), "Hi %s! %s speaks git here, and has no shell.\r\nYour key is known: go on with  git push %s main\r\n", // the client may be gone
		caller.User, title(name), name)
	return 1
}

// refuse tells the user why there is no conversation.
func (s *session) refuse(text string) int {
	fmt.Fprintln(s.channel.Stderr(), text) // the client may be gone
	return 128
}
