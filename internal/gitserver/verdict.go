package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// flushOutput is how long the last lines may take to reach the hook.
	flushOutput = 5 * time.Second
	// maxStoredLines is how many refs that do not deploy are named one by one.
	maxStoredLines = 20
)

// answer waits for git to run the hook, judges the push and tells the hook.
func (p *push) answer(ctx context.Context, pipes *hookPipes) {
	proposal, err := readProposal(pipes.proposal)
	if errors.Is(err, io.EOF) {
		return
	}
	out := newOutbox(pipes.output, 0, func() {
		pipes.output.SetWriteDeadline(time.Now()) //nolint:errcheck // a pipe of ours has deadlines
	})
	if err == nil {
		err = p.judge(ctx, proposal, out)
	}
	code, last := 0, ""
	if err != nil {
		code, last = 1, complaint(p.reason(ctx, err))
	}
	out.Close(last, flushOutput)
	p.accepted = code == 0
	if err := pipes.decide(code); err != nil {
		p.accepted = false
		p.server.log.Warn("git hook left before its verdict", "app", p.app, "err", err)
	}
}

// judge says what becomes of every ref, and hands the one that deploys to the
// desk. An error rejects the push whole.
func (p *push) judge(ctx context.Context, proposal proposal, out io.Writer) error {
	settings, err := p.server.desk.Settings(ctx, p.client.caller, p.app)
	if err != nil {
		return err
	}
	var deploys []update
	rest := 0
	for _, u := range proposal.updates {
		switch {
		case settings.Builds(u.ref) && !u.deletes():
			deploys = append(deploys, u)
		case rest < maxStoredLines:
			fmt.Fprintln(out, p.stored(settings, u))
			rest++
		default:
			rest++
		}
	}
	if rest > maxStoredLines {
		fmt.Fprintf(out, "%d more refs stored or deleted\n", rest-maxStoredLines)
	}
	if len(deploys) == 0 {
		return nil
	}
	for _, u := range deploys[1:] {
		if u.after != deploys[0].after {
			return &platform.UserError{
				Kind:    platform.ErrInvalid,
				Message: fmt.Sprintf("%s and %s both deploy, and differ.", deploys[0].ref, u.ref),
				Cure:    "Push one of them.",
			}
		}
	}
	p.deployed = deploys[0].ref
	return p.server.desk.Push(ctx, p.client.caller, p.app, p.server.source(ctx, p.repo, proposal, deploys[0]), out)
}

// stored is the line about a ref that does not build.
func (p *push) stored(settings platform.Settings, u update) string {
	switch {
	case u.deletes() && settings.Builds(u.ref):
		return u.ref + " deleted; what runs stays as it is"
	case u.deletes():
		return u.ref + " deleted"
	case !strings.HasPrefix(u.ref, "refs/heads/"):
		return u.ref + " stored; only branches deploy"
	}
	branch, only := strings.TrimPrefix(u.ref, "refs/heads/"), "main and master deploy"
	if settings.DeployBranch != "" {
		only = settings.DeployBranch + " deploys"
	}
	return fmt.Sprintf("%s stored; only %s: set another with `%s settings set deploy_branch=%s`", u.ref, only, p.server.opts.Name, branch)
}

// reason words an error that comes from the push's own end.
func (p *push) reason(ctx context.Context, err error) error {
	name := p.server.opts.Name
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("The push took longer than %s and was given up.\nWhat was built may still go live: see %s releases", p.server.opts.Timeout, name) //nolint:staticcheck // a sentence for the user
	case ctx.Err() != nil:
		return fmt.Errorf("%s ended the push: it is going down, or the app was destroyed.\nPush again in a moment", name)
	}
	return err
}

// complaint is an error as a user of git sees it, line by line.
func complaint(err error) string {
	var text strings.Builder
	for line := range strings.Lines(err.Error()) {
		text.WriteString(" !     " + strings.TrimRight(line, "\r\n") + "\n")
	}
	return text.String()
}
