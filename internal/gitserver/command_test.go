package gitserver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/gitserver"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestRepositoriesAreNamedInManyWays(t *testing.T) {
	t.Parallel()
	for _, repo := range []string{"'/blog.git'", "'blog.git'", "/blog", "blog", `"/blog.git"`, "'/blog.git/'", " 'blog.git' "} {
		for _, program := range []string{"git-receive-pack", "git receive-pack"} {
			service, app, err := gitserver.ParseCommand(program + " " + repo)
			if service != "git-receive-pack" || app != "blog" || err != nil {
				t.Errorf("%s %s: %q of %q, %v", program, repo, service, app, err)
			}
		}
	}
}

func TestWhatNamesNoAppIsNoRepo(t *testing.T) {
	t.Parallel()
	for _, repo := range []string{
		"", "''", "'/'", "'.git'", "'..'", "'../blog.git'", "'/../../etc'", "'blog/../shop.git'", "'blog.git' 'shop.git'", "'Blog.git'",
		"'//blog.git'", "'blog.git.git'", "--help", "'--upload-pack=x'", "'blog;id'", "'blog\n'", "'$(id)'", "'blog", "'" + strings.Repeat("a", 64) + "'",
	} {
		if _, app, err := gitserver.ParseCommand("git-upload-pack " + repo); !errors.Is(err, gitserver.ErrNoRepo) {
			t.Errorf("%s: app %q, %v", repo, app, err)
		}
	}
}

func TestOtherProgramsAreNoCommands(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "ls", "git-upload-archive 'blog.git'", "git-receive-packs blog", "git", "git gc", "sh -c id", "ping x"} {
		if _, _, err := gitserver.ParseCommand(line); !errors.Is(err, gitserver.ErrNotCommand) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func FuzzCommandsNameValidAppsOrNone(f *testing.F) {
	for _, line := range []string{"git-receive-pack '/blog.git'", "git upload-pack blog", "ping", "git-upload-pack '..'", "''", "git-upload-pack 'a'\\''b'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		service, app, err := gitserver.ParseCommand(line)
		if err == nil && service != "ping" && platform.ValidAppID(app) != nil {
			t.Errorf("%q names app %q", line, app)
		}
		if app, _, err := gitserver.ParsePath(line); err == nil && platform.ValidAppID(app) != nil {
			t.Errorf("path %q names app %q", line, app)
		}
	})
}
