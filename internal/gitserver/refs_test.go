package gitserver_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/gitserver"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestOtherRefsAreStoredAndSaySo(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		r.must("branch", "topic")
		r.must("tag", "-a", "-m", "first", "v1")
		out, code := r.run("push", url, "topic", "v1")
		wantCode(t, out, code, 0)
		wantText(t, out,
			"remote: refs/heads/topic stored; only main and master deploy: set another with `slipway settings set deploy_branch=topic`",
			"remote: refs/tags/v1 stored; only branches deploy")
		wantDeployed(t, r.desk)
		if r.ref("refs/heads/topic") == "" || r.ref("refs/tags/v1") == "" {
			t.Error("not stored")
		}
		out, code = r.run("push", url, "main", ":topic")
		wantCode(t, out, code, 0)
		wantText(t, out, "remote: refs/heads/topic deleted")
		wantDeployed(t, r.desk, "main")
	})
}

func TestMasterDeploysAndBecomesTheHead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out, code := r.run("push", r.sshURL("blog"), "main:master")
	wantCode(t, out, code, 0)
	wantDeployed(t, r.desk, "master")
	clone := filepath.Join(t.TempDir(), "clone")
	out, code = r.run("clone", "-q", r.sshURL("blog"), clone)
	wantCode(t, out, code, 0)
	if out, _ := r.runIn(clone, "branch", "--show-current"); out != "master\n" {
		t.Errorf("the clone is on %q", out)
	}
}

func TestAnotherDeployBranchCanBeSet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.desk.settings.DeployBranch = "live"
	out, code := r.run("push", r.sshURL("blog"), "main", "main:live")
	wantCode(t, out, code, 0)
	wantText(t, out, "refs/heads/main stored; only live deploys")
	wantDeployed(t, r.desk, "live")
}

func TestDeletingTheDeployBranchBuildsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must("push", r.sshURL("blog"), "main")
	out, code := r.run("push", r.sshURL("blog"), ":main")
	wantCode(t, out, code, 0)
	wantText(t, out, "remote: refs/heads/main deleted; what runs stays as it is")
	wantDeployed(t, r.desk, "main")
	if r.ref("refs/heads/main") != "" {
		t.Error("the branch is still there")
	}
}

func TestTwoDeployBranchesThatDifferAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must("branch", "master")
	r.commit("more", "of it\n")
	out, code := r.run("push", r.sshURL("blog"), "main", "master")
	wantCode(t, out, code, 1)
	wantText(t, out, "refs/heads/main and refs/heads/master both deploy, and differ.", "Push one of them.")
	wantDeployed(t, r.desk)

	r.must("branch", "-f", "master", "main")
	out, code = r.run("push", r.sshURL("blog"), "main", "master")
	wantCode(t, out, code, 0)
	wantDeployed(t, r.desk, "main")
}

func TestManyRefsAreCountedAndNotListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	update := r.git(r.work, "update-ref", "--stdin")
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "create refs/tags/v%d HEAD\n", i)
	}
	update.Stdin = strings.NewReader(lines.String())
	if text, err := update.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, code := r.run("push", "-q", r.sshURL("blog"), "main", "--tags")
	wantCode(t, out, code, 0)
	wantText(t, out, "refs/tags/v0 stored; only branches deploy", "980 more refs stored or deleted")
	wantDeployed(t, r.desk, "main")
}

func TestTreesThatReachOutsideAreNotHandedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.desk.when(func(_ context.Context, src platform.Source, out io.Writer) error {
		names, err := list(src)
		fmt.Fprintf(out, "holds %q\n", names)
		return err
	})
	blob := r.must("rev-parse", "HEAD:Procfile")
	for _, name := range []string{"..", ".", ".git", "../x", "/etc/x"} {
		raw, err := hex.DecodeString(strings.TrimSpace(blob))
		if err != nil {
			t.Fatal(err)
		}
		write := r.git(r.work, "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
		write.Stdin = strings.NewReader("100644 " + name + "\x00" + string(raw))
		tree, err := write.Output()
		if err != nil {
			t.Fatal(err)
		}
		commit := strings.TrimSpace(r.must("commit-tree", "-m", "evil", strings.TrimSpace(string(tree))))
		out, code := r.run("push", "-f", r.sshURL("blog"), commit+":refs/heads/main")
		wantCode(t, out, code, 1)
		wantText(t, out, "invalid path '"+name+"'")
	}
}

func TestAPushedReplacementChangesNoCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	head, _ := r.run("rev-parse", "HEAD")
	head = strings.TrimSpace(head)
	out, code := r.run("push", r.sshURL("blog"), "main:refs/replace/"+head) // a loop
	wantCode(t, out, code, 0)
	out, code = r.run("push", r.sshURL("blog"), "main")
	wantCode(t, out, code, 0)
	wantDeployed(t, r.desk, "main")
}

func TestForcedPushDeploys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must("push", r.sshURL("blog"), "main")
	r.must("commit", "-q", "--amend", "-m", "another history")
	out, code := r.run("push", r.sshURL("blog"), "main")
	wantCode(t, out, code, 1)
	r.must("push", "-f", r.sshURL("blog"), "main")
	wantDeployed(t, r.desk, "main", "main")
}

func TestShallowClonesCanPush(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		r.desk.when(func(_ context.Context, src platform.Source, out io.Writer) error {
			names, err := list(src)
			fmt.Fprintf(out, "%d files\n", len(names))
			return err
		})
		for range 3 {
			r.commit("log", fmt.Sprint(r.must("rev-parse", "HEAD")))
		}
		shallow := filepath.Join(t.TempDir(), "shallow")
		r.must("clone", "-q", "--depth=1", "file://"+r.work, shallow)
		out, code := r.runIn(shallow, "push", url, "main")
		wantCode(t, out, code, 0)
		wantText(t, out, "remote: 2 files")

		// A whole clone goes on from there, and so does the shallow one.
		r.commit("log", "more")
		out, code = r.run("push", url, "main")
		wantCode(t, out, code, 0)
		if _, code := r.runIn(shallow, "pull", "-q", "--depth=1", url, "main"); code == 0 {
			out, code = r.runIn(shallow, "push", url, "main")
			wantCode(t, out, code, 0)
		}
		clone := filepath.Join(t.TempDir(), "clone")
		out, code = r.run("clone", "-q", url, clone)
		wantCode(t, out, code, 0)
	})
}
