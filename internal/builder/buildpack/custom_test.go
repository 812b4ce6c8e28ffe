package buildpack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// custom is a buildpack that shows what a build sees.
var custom = map[string]string{
	"bin/detect": "#!/bin/bash\n[ -f $1/app.txt ] && echo Text\n",
	"bin/compile": `#!/bin/bash
set -e
echo "args $1 $2 $3"
echo "secret file $(cat $3/SECRET), variable ${SECRET-unset}"
echo "stack $STACK commit $SOURCE_VERSION request $REQUEST_ID home $HOME"
count=$(cat $2/count 2>/dev/null || echo 0)
echo "cache count $count"
echo $((count + 1)) >$2/count
mkdir -p $1/.profile.d
echo 'export FROM_PROFILE=1' >$1/.profile.d/text.sh
echo 'export EXPORTED=yes' >$(dirname $0)/../export
`,
	"bin/release": "#!/bin/bash\necho 'config_vars: {GREETING: \"it'\\''s\"}'\necho 'default_process_types: {web: cat app.txt}'\n",
}

func TestACustomBuildpackIsFetchedByURL(t *testing.T) {
	s := open(t, nil)
	pack := commit(t, custom)
	repository := commit(t, map[string]string{"app.txt": "x", "bin/pre-compile": "echo before", "bin/post-compile": "#!/bin/bash\necho after\n"})
	env := map[string]string{"BUILDPACK_URL": "file://" + pack + "#main", "SECRET": "two\nlines"}
	result, out := s.build(t, repository, env)
	contains(t, out,
		"Starting build... but first, coffee!\n-----> Restoring cache...\n       No cache file found. If this is the first deploy, it will be created now.\n-----> Fetching custom buildpack\n", "-----> Running bin/pre-compile\n       before\n", "-----> Text app detected\n",
		"       secret file two\n       lines, variable unset\n", "stack slipway-1 commit "+git(t, repository, "rev-parse", "HEAD")[:8]+" request 0b5a1cde-",
		"home /app\n", "cache count 0\n", "-----> Running bin/post-compile\n       after\n", "Default process types for Text -> web")
	files := s.files(t, result.Image)
	contains(t, files["app/.profile.d/000-buildpack-defaults.sh"], `export GREETING='it'\''s'`)
	if files["app/.profile.d/text.sh"] == "" || result.Procfile["web"] != "cat app.txt" {
		t.Errorf("%+v %v", result, files)
	}

	_, out = s.build(t, repository, env)
	contains(t, out, "-----> Restoring cache...\n       Done!\n", "cache count 1\n")
	env["SLIPWAY_DISABLE_CACHE"] = "1"
	_, out = s.build(t, repository, env)
	contains(t, out, "cache count 0\n")
	s.clean(t)
}

func TestABuildpackIsFetchedAtItsRefAndFollowsIt(t *testing.T) {
	s := open(t, nil)
	pack := commit(t, custom)
	first := git(t, pack, "rev-parse", "HEAD")
	repository := commit(t, map[string]string{"app.txt": "x"})
	_, out := s.build(t, repository, map[string]string{"BUILDPACK_URL": "file://" + pack})
	contains(t, out, "cache count 0")

	if err := os.WriteFile(filepath.Join(pack, "bin/compile"), []byte("#!/bin/bash\necho second version\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, pack, "commit", "--quiet", "--all", "--message=second")
	_, out = s.build(t, repository, map[string]string{"BUILDPACK_URL": "file://" + pack})
	contains(t, out, "second version")
	_, out = s.build(t, repository, map[string]string{"BUILDPACK_URL": "file://" + pack + "#" + first})
	contains(t, out, "cache count 1")

	if err := os.Rename(pack, pack+".gone"); err != nil {
		t.Fatal(err)
	}
	user, _ := s.fail(t, repository, map[string]string{"BUILDPACK_URL": "file://" + pack})
	contains(t, user.Error(), "there is no such directory")
}

func TestSeveralBuildpacksRunInOrder(t *testing.T) {
	s := open(t, nil)
	first := commit(t, custom)
	second := commit(t, map[string]string{
		"bin/detect":  "#!/bin/bash\necho Second\n",
		"bin/compile": "#!/bin/bash\necho exported: $EXPORTED\n",
	})
	_, out := s.build(t, commit(t, map[string]string{
		"app.txt": "x", "Procfile": "web: cat app.txt\n",
		".buildpacks": "file://" + first + "\nheroku/procfile\nfile://" + second + "#main\n",
	}), map[string]string{"SECRET": "x"})
	contains(t, out, "exported: yes")
	if text, procfile, last := strings.Index(out, "Text app"), strings.Index(out, "Procfile app"), strings.Index(out, "Second app"); text < 0 || procfile < text || last < procfile {
		t.Errorf("out of order:\n%s", out)
	}
}

func TestABuildpackThatCannotBeUsedIsNamedWithTheCure(t *testing.T) {
	s := open(t, nil)
	private := filepath.Join(publicDir(t), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	plain := commit(t, map[string]string{"README": "no buildpack"})
	picky := commit(t, map[string]string{"bin/detect": "#!/bin/bash\nexit 1\n", "bin/compile": "#!/bin/bash\n"})
	incomplete := commit(t, map[string]string{"bin/detect": "#!/bin/bash\necho Half\n"})
	repository := commit(t, map[string]string{"app.txt": "x", "Procfile": "web: true\n"})
	for address, wanted := range map[string]string{
		"https://user:hidden@127.0.0.1:1/pack.git#v1": "buildpack https://127.0.0.1:1/pack.git#v1 cannot be fetched: fatal:",
		"file://" + private:                           "it is no directory that everybody on this machine may read",
		"file:///":                                    "it is no git repository",
		"file:///proc/self/root":                      "it is no git repository",
		"file:///usr":                                 "it is no git repository",
		"file://" + plain:                             "is no buildpack: it has no bin/detect",
		"file://" + incomplete:                        "is no buildpack: it has no bin/compile",
		"file://" + picky:                             "is not for this tree (bin/detect failed)",
		"file://" + plain + "#nope":                   "cannot be fetched: ",
		"ext::sh -c id":                               "BUILDPACK_URL:",
		"--upload-pack=id":                            "BUILDPACK_URL:",
		"cobol":                                       `"cobol" is no buildpack`,
		"https://x/y#--force":                         "is no branch, tag or commit",
	} {
		user, out := s.fail(t, repository, map[string]string{"BUILDPACK_URL": address})
		contains(t, user.Error(), wanted, "BUILDPACK_URL")
		if strings.Contains(user.Error()+out, "hidden") {
			t.Errorf("the password of the URL is told: %v\n%s", user, out)
		}
	}
}

func TestASlugStartsWithItsEnvironment(t *testing.T) {
	s := open(t, nil)
	result, _ := s.build(t, commit(t, map[string]string{"app.txt": "x"}), map[string]string{"BUILDPACK_URL": "file://" + commit(t, custom), "SECRET": "x"})
	dir := t.TempDir()
	for name, content := range s.files(t, result.Image) {
		if content == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for command, want := range map[string]string{
		`echo "$GREETING $FROM_PROFILE ${PWD##*/} ${script-unset}"`: "it's 1 app unset\n",
		"exit 3":            "exit status 3",
		"web":               "exit status 127", // a process type is no command
		"kill -TERM $$":     "signal: terminated",
		"cat app.txt; echo": "x\n",
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "slipway/launch"), command)
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		out, err := cmd.Output()
		if got := string(out); got != want && (err == nil || err.Error() != want) {
			t.Errorf("%s: %q, %v; want %q", command, got, err, want)
		}
	}
}

// A build may leave in its cache what it likes, a copy of a buildpack included;
// the machine's files are not for it to mount with that.
func TestABuildSeesNoMoreOfTheMachineThanARepository(t *testing.T) {
	s := open(t, nil)
	pack := commit(t, map[string]string{
		"bin/detect":  "#!/bin/bash\necho Peeking\n",
		"bin/compile": "#!/bin/bash\nls -d /tmp/repository-0/* | tr '\\n' ' '\n",
		"bin/release": "#!/bin/bash\necho 'default_process_types: {web: x}'\n",
		"private":     "beside the repository",
	})
	_, out := s.build(t, commit(t, map[string]string{"app.txt": "x"}), map[string]string{"BUILDPACK_URL": "file://" + pack})
	if !strings.Contains(out, "/tmp/repository-0/") {
		t.Skip("there are no mounts on this machine: bubblewrap does not work here")
	}
	contains(t, out, "/tmp/repository-0/HEAD ", "/tmp/repository-0/objects ")
	if strings.Contains(out, "/tmp/repository-0/private") {
		t.Errorf("it sees what lies beside the repository: %s", out)
	}
}
