package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Exit codes; the help documents them.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitNotAllowed  = 4
	ExitRefused     = 5
	ExitUnreachable = 6
	ExitInterrupted = 130
)

// Execute runs root, which New returned, and returns the exit code, having
// told stderr what went wrong. The arguments are the process's unless set.
func Execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	if out, ok := root.OutOrStdout().(screen); ok && err == nil && *out.lost != nil {
		err = fmt.Errorf("not all of the answer could be written: %w", *out.lost)
	}
	to, ok := root.ErrOrStderr().(screen)
	if !ok {
		to = screen{Writer: root.ErrOrStderr()}
	}
	return report(to, err)
}

// exitError ends the program with another's exit code and no words.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// hint adds the next step to an error; it says more than the kind's own.
type hint struct {
	error
	step string
}

func (h *hint) Unwrap() error { return h.error }

func hinted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hint{err, fmt.Sprintf(format, args...)}
}

// because is an error of one of platform's kinds, in its own words.
func because(kind error, format string, args ...any) error {
	return &platform.UserError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// report prints an error and its next step, and returns the exit code.
func report(to screen, err error) int {
	var quiet exitError
	if err == nil || errors.As(err, &quiet) {
		return int(quiet)
	}
	if errors.Is(err, context.Canceled) {
		to.say("\nInterrupted. A change that had begun goes on at the platform.")
		return ExitInterrupted
	}
	text := wording(err)
	to.say("%s %s", to.paint(bad, "Error:"), text)
	if step := nextStep(err); step != "" && !strings.Contains(text, step) {
		to.say("%s", step)
	}
	return exitCode(err)
}

// exitCode is one rule for all verbs: what makes no sense by itself, and so was
// not asked of the platform, is wrong usage; what was named and is not there, an
// app or a file, is not found.
func exitCode(err error) int {
	var (
		wrong   *usageError
		refused *client.Error
	)
	switch {
	case errors.As(err, &wrong), errors.Is(err, platform.ErrInvalid) && !errors.As(err, &refused):
		return ExitUsage
	case errors.Is(err, platform.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return ExitNotFound
	case errors.Is(err, platform.ErrUnauthenticated), errors.Is(err, platform.ErrForbidden):
		return ExitNotAllowed
	case errors.Is(err, platform.ErrConflict), errors.Is(err, platform.ErrStale), errors.Is(err, platform.ErrBusy):
		return ExitRefused
	case errors.Is(err, platform.ErrUnavailable):
		return ExitUnreachable
	}
	return ExitFailed
}

var lookup = regexp.MustCompile(`^No (\w+) matches the given query\.$`)

// wording is the error's text; a lookup that failed names what was looked up.
// What a server says may have several lines, and may not draw on the terminal.
func wording(err error) string {
	text := err.Error()
	if refused, ok := errors.AsType[*client.Error](err); ok {
		if match := lookup.FindStringSubmatch(refused.Answer.Detail); match != nil {
			text = fmt.Sprintf("there is no %s %s", strings.ToLower(match[1]), lookedUp(match[1], refused.Path))
		}
		if refused.Answer.Status >= 500 && refused.Answer.RequestID != "" {
			text += fmt.Sprintf(" (request %s in the platform's log)", refused.Answer.RequestID)
		}
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// lookedUp finds in a request's path the name of what was not there.
func lookedUp(kind, path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	name := segments[len(segments)-1]
	switch {
	case kind == "App" && len(segments) > 2:
		name = segments[2]
	case kind == "Cron" && len(segments) > 4:
		name = segments[4]
	case kind == "Certificate" && len(segments) > 2:
		name = segments[2]
	case kind == "User" && name == "perms":
		return "of that name"
	}
	return unescaped(name)
}

// lists are the verbs that list what was looked up; App's says more.
var lists = map[string]string{
	"Build": "builds", "Certificate": "certs", "Cron": "cron", "Domain": "domains", "Group": "groups", "Instance": "ps", "Key": "keys",
	"Port": "ports", "Release": "releases", "Service": "services", "Stack": "stack", "Token": "tokens", "Volume": "volumes",
}

// listStep is to look at what there is, of an app or, with "", of the user.
func listStep(verb, app string) string {
	step := "See what there is with: slipway " + verb
	if app != "" {
		step += " -a " + app
	}
	return step
}

// lookedUpStep is where to find what a request's path misnamed.
func lookedUpStep(kind, path string) string {
	segments, app := strings.Split(strings.Trim(path, "/"), "/"), ""
	if len(segments) > 2 && segments[1] == "apps" {
		app = unescaped(segments[2])
	}
	if verb := lists[kind]; verb != "" {
		return listStep(verb, app)
	}
	return ""
}

// nextStep says what to do about an error, or nothing.
func nextStep(err error) string {
	var (
		own       *hint
		wrong     *usageError
		cured     *platform.UserError
		away      *client.ConnectError
		stranger  *client.NotPlatformError
		authority x509.UnknownAuthorityError
		refused   *client.Error
	)
	switch {
	case errors.As(err, &own):
		return own.step
	case errors.As(err, &wrong) && wrong.command != "":
		return fmt.Sprintf("Usage and examples: %s --help", wrong.command)
	case errors.As(err, &cured) && cured.Cure != "":
		return "" // part of the text
	case errors.As(err, &authority):
		return "If you trust its authority, log in with: slipway login --ca-file FILE.pem URL"
	case errors.As(err, &away):
		return unreachableStep(away)
	case errors.As(err, &stranger):
		return "Its API is at the name slipway below its domain, such as: slipway login https://slipway.example.com"
	case errors.As(err, &refused):
		return refusedStep(refused)
	case errors.Is(err, platform.ErrUnauthenticated):
		return "Log in with: slipway login"
	}
	return ""
}

func unreachableStep(e *client.ConnectError) string {
	u, err := client.ParseURL(e.URL)
	if err == nil && client.LocalHost(u.Host) {
		return "Start a platform on this machine with: slipway serve"
	}
	return "Check the address with: slipway contexts; then your network, or the platform's machine."
}

func refusedStep(e *client.Error) string {
	detail := e.Answer.Detail
	switch {
	case errors.Is(e, platform.ErrUnauthenticated):
		return "Log in with: slipway login"
	case errors.Is(e, platform.ErrForbidden):
		return "See who you are with: slipway whoami"
	case detail == "No App matches the given query.":
		return "List yours with: slipway apps; make it with: slipway create"
	case strings.HasPrefix(detail, "No build associated"):
		return "Deploy first with: git push slipway HEAD:main"
	case strings.Contains(detail, "is already in progress"):
		return "Wait for the other change; follow it with: slipway logs -f"
	case strings.HasPrefix(detail, "(app::deploy)"):
		return "See why with: slipway logs"
	case strings.HasPrefix(detail, "Container type "):
		return "See the process types with: slipway info"
	case detail == "Cannot roll back to initial release.":
		return "It runs nothing. " + listStep("releases", "")
	case strings.Contains(e.Answer.Error(), "Public Key is already in use"):
		return "A key is one user's, once. See yours with: slipway keys"
	}
	if match := lookup.FindStringSubmatch(detail); match != nil {
		return lookedUpStep(match[1], e.Path)
	}
	return ""
}
