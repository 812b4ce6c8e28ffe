package gitserver

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// source is the tree of the commit that an update brings, readable while the
// push is in quarantine and ctx lives.
func (s *Server) source(ctx context.Context, repo string, p proposal, u update) platform.Source {
	return platform.Source{
		Commit: u.after,
		Branch: strings.TrimPrefix(u.ref, "refs/heads/"),
		Tree: func() (io.ReadCloser, error) {
			cmd := s.git.command(ctx, repo, "archive", "--format=tar", u.after)
			cmd.Env = append(cmd.Env, "GIT_DIR="+repo)
			if p.objects != "" {
				cmd.Env = append(cmd.Env, "GIT_OBJECT_DIRECTORY="+p.objects, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+p.alternates)
			}
			return openTree(cmd)
		},
	}
}

// tree is the output of a running git archive. It ends in an error instead of
// io.EOF when git failed, so that half a tree is never taken for a whole one.
type tree struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	errors strings.Builder
	done   bool
	err    error // how git ended, once done
}

func openTree(cmd *exec.Cmd) (*tree, error) {
	t := &tree{cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = out
	cmd.Stderr = &t.errors
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("git archive: %w", err)
	}
	return t, nil
}

func (t *tree) Read(p []byte) (int, error) {
	if t.done {
		return 0, cmp.Or(t.err, io.EOF)
	}
	n, err := t.out.Read(p)
	if err == nil {
		return n, nil
	}
	if t.wait(); t.err != nil {
		return n, t.err
	}
	return n, err
}

// Close ends git if it still runs.
func (t *tree) Close() error {
	if !t.done {
		t.cmd.Cancel() //nolint:errcheck // it may have ended by itself
		t.wait()
	}
	return nil
}

func (t *tree) wait() {
	t.done = true
	if err := t.cmd.Wait(); err != nil {
		t.err = fmt.Errorf("git archive: %w: %s", err, strings.TrimSpace(t.errors.String()))
	}
}
