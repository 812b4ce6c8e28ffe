package gitserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// fetch lets a client read an app's repository and returns git's exit code. It
// ends when ctx does. An error means that git was not reached.
func (s *Server) fetch(ctx context.Context, app string, c client) (int, error) {
	args := []string{"upload-pack", "--strict", "--timeout=600"}
	if c.stateless {
		args = append(args, "--stateless-rpc")
	}
	return s.converse(ctx, app, c, args...)
}

// listRefs answers the first request of a smart HTTP conversation.
func (s *Server) listRefs(ctx context.Context, app, service string, c client) (int, error) {
	program := "upload-pack"
	if service == receivePack {
		program = "receive-pack"
	}
	return s.converse(ctx, app, c, program, "--stateless-rpc", "--advertise-refs")
}

// converse runs git in the app's repository with the client at its other end.
// At most maxCommands do so at once; others wait for their turn.
func (s *Server) converse(ctx context.Context, app string, c client, args ...string) (int, error) {
	select {
	case s.commands <- struct{}{}:
		defer func() { <-s.commands }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	repo, err := s.repos.ensure(ctx, app)
	if err != nil {
		return 0, err
	}
	cmd := s.git.command(ctx, repo, append(args, repo)...)
	cmd.Stdout, cmd.Stderr = c.out, c.stderr
	cmd.WaitDelay = stall // the last bytes may go to a slow client
	speak(cmd, c.protocol)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("git %s: %w", args[0], err)
	}
	fed := s.feed(stdin, c)
	err = cmd.Wait()
	c.release(fed)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.log.Debug("git conversation broke off", "app", app, "err", err)
	}
	return exitCode(cmd), nil
}
