package dockerfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Exit codes of a step that a signal ended.
const (
	killed      = 128 + 9
	fileTooLong = 128 + 25
)

// failure words why a build failed, and shows where in the Dockerfile.
func (b *Builder) failure(ctx context.Context, c *child, r builder.Request, err error, out *builder.Output) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out.Flush()
	c.settle()
	if c.crashed() {
		return b.crash(c, r)
	}
	for _, source := range errdefs.Sources(err) {
		var lines bytes.Buffer
		if source.Print(&lines) == nil {
			_, _ = out.Write(lines.Bytes()) // it does not fail
		}
	}
	text := message(err)
	out.Detail("ERROR: " + text)
	full := strings.Contains(text, "no space left on device")
	if exit, ok := errors.AsType[*gateway.ExitError](err); ok {
		switch {
		case exit.ExitCode == killed && c.group.OutOfMemory():
			return b.options.OutOfMemory(r.App)
		case exit.ExitCode == fileTooLong:
			full = true
		}
	}
	if full || strings.Contains(text, "file too large") {
		return refused(fmt.Sprintf("build of %s stopped: it writes more than the %s of disk that are allowed", r.App, builder.SizeText(b.options.DiskBytes)),
			"Make the build write less, then push again.")
	}
	return refused(text, cure(text))
}

// cure is what to do about BuildKit's words.
func cure(text string) string {
	has := func(words string) bool { return strings.Contains(text, words) }
	switch {
	case has("secret") && has("not found"):
		return "Set the config value, name it in " + secretsKey + " (slipway config set " + secretsKey + "=NAME,...), and push again."
	case has("no SSH key") || has("unset ssh forward") || has("ssh default"):
		return "Set " + sshKey + " to a private key in base64, and push again."
	case has("pull access denied") || has("failed to resolve source metadata") || has("failed to authorize"):
		return "Check the name after FROM; a private registry needs  slipway registry set username=... password=... hostname=..."
	}
	return "Fix the Dockerfile, or what the step printed above, commit, and push again."
}

// message is BuildKit's error in the words of the contract.
func message(err error) string {
	text := strings.TrimPrefix(err.Error(), "failed to solve: ")
	return strings.ReplaceAll(text, "unknown instruction:", "Unknown instruction:")
}

// crash is the error of a build whose BuildKit ended.
func (b *Builder) crash(c *child, r builder.Request) error {
	b.log.Error("buildkitd ended", "app", r.App, "build", r.Build, "state", c.cmd.ProcessState.String(), "said", c.said.String())
	if c.group.OutOfMemory() {
		return b.options.OutOfMemory(r.App)
	}
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("build of %s stopped: BuildKit ended in the middle of it", r.App),
		Cure:    "Push again: what is done is in the cache. If it happens again, the platform's log says why.",
	}
}
