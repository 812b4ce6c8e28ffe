package gitserver

import (
	"errors"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The git services, named as clients ask for them.
const (
	receivePack = "git-receive-pack"
	uploadPack  = "git-upload-pack"
)

var (
	errNoRepo     = errors.New("No repo given") //nolint:staticcheck // the contract's words, shown as they are
	errNotCommand = errors.New("not a command of this door")
)

// command is one exec request: a git service with the app it is for, or ping.
type command struct {
	service string
	app     string
}

// parseCommand reads the line an SSH client asks to execute. It is
// errNotCommand when the program is not ours, errNoRepo when the repository is
// missing or no app can have its name. No shell ever sees the line.
func parseCommand(line string) (command, error) {
	line = strings.TrimSpace(line)
	if line == "ping" {
		return command{service: "ping"}, nil
	}
	if rest, ok := strings.CutPrefix(line, "git "); ok {
		line = "git-" + rest // "git receive-pack x" is the same request
	}
	service, repo, _ := strings.Cut(line, " ")
	if service != receivePack && service != uploadPack {
		return command{}, errNotCommand
	}
	app, err := parseRepo(unquote(strings.TrimSpace(repo)))
	if err != nil {
		return command{}, err
	}
	return command{service: service, app: app}, nil
}

// unquote removes one pair of quotes around s.
func unquote(s string) string {
	for _, quote := range []string{"'", `"`} {
		if inner, ok := strings.CutPrefix(s, quote); ok {
			if inner, ok = strings.CutSuffix(inner, quote); ok {
				return inner
			}
		}
	}
	return s
}

// parseRepo cleans a repository's name to its app: /blog.git, blog.git, /blog
// and blog are all blog. Anything that cannot name an app is errNoRepo.
func parseRepo(repo string) (app string, err error) {
	app = strings.TrimPrefix(repo, "/")
	app = strings.TrimSuffix(app, "/")
	app = strings.TrimSuffix(app, ".git")
	if platform.ValidAppID(app) != nil {
		return "", errNoRepo
	}
	return app, nil
}
