package gitserver_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/gitserver"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestPushHandsTheCommitsTreeToTheDesk(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		var files []string
		r.desk.when(func(_ context.Context, src platform.Source, out io.Writer) error {
			for range 2 { // the tree may be opened again
				names, err := list(src)
				if err != nil {
					return err
				}
				files = names
			}
			fmt.Fprintln(out, "-----> Python app detected")
			return nil
		})
		out, code := r.run("push", url, "main")
		wantCode(t, out, code, 0)
		wantText(t, out, "remote: -----> Python app detected")
		wantDeployed(t, r.desk, "main")
		if len(files) != 1 || files[0] != "Procfile" {
			t.Errorf("tree holds %v, want Procfile", files)
		}
		if head := r.must("rev-parse", "HEAD"); r.ref("refs/heads/main")+"\n" != head || r.desk.pushes[0].Commit+"\n" != head {
			t.Errorf("main is %q and %q was built, want %q", r.ref("refs/heads/main"), r.desk.pushes[0].Commit, head)
		}
		if caller := r.desk.callers[0]; caller.User != "bob" || caller.From == "" {
			t.Errorf("the desk saw caller %+v", caller)
		}
		out, code = r.run("push", url, "main")
		wantCode(t, out, code, 0)
		wantText(t, out, "Everything up-to-date")
	})
}

func list(src platform.Source) (names []string, err error) {
	tree, err := src.Tree()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	for files := tar.NewReader(tree); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, tree)
			return names, err
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			names = append(names, header.Name)
		}
	}
}

func TestFailedDeployRejectsThePushAndSaysWhy(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		r.desk.when(func(_ context.Context, _ platform.Source, out io.Writer) error {
			fmt.Fprint(out, "       no line end")
			return &platform.UserError{Kind: platform.ErrInvalid, Message: "no Procfile", Cure: "add one"}
		})
		out, code := r.run("push", url, "main")
		wantCode(t, out, code, 1)
		wantText(t, out, "remote:  !     no Procfile", "remote:  !     add one", "(pre-receive hook declined)", "failed to push some refs")
		if r.ref("refs/heads/main") != "" {
			t.Error("the ref moved")
		}
		if left := r.leftovers(); left != nil {
			t.Errorf("left behind: %v", left)
		}
		r.desk.when(nil)
		out, code = r.run("push", url, "main")
		wantCode(t, out, code, 0)
		wantDeployed(t, r.desk, "main", "main")
	})
}

func TestSecondPushIsToldAnotherIsOngoing(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		arrived, release := r.desk.hold()
		defer release()
		first := r.git(r.work, "push", url, "main")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		<-arrived
		for _, door := range []string{r.sshURL("blog"), r.httpURL("blog")} {
			out, code := r.run("push", door, "main")
			wantCode(t, out, code, 128)
			wantText(t, out, "fatal: remote error: Another git push is ongoing")
		}
		release()
		if err := first.Wait(); err != nil {
			t.Errorf("first push: %v", err)
		}
	})
}

func TestInterruptedPushGoesOnAndKeepsTheLock(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		arrived, release := r.desk.hold()
		defer release()
		first := r.git(r.work, "push", url, "main")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		<-arrived
		interrupt(first)
		out, code := r.run("push", url, "main")
		wantCode(t, out, code, 128)
		wantText(t, out, "Another git push is ongoing")
		release()
		out, code = r.pushUntilFree(url, "main")
		wantCode(t, out, code, 0)
		wantText(t, out, "Everything up-to-date")
		wantDeployed(t, r.desk, "main")
	})
}

func TestPushesOfTwoAppsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arrived, release := r.desk.hold()
	defer release()
	first := r.git(r.work, "push", r.sshURL("blog"), "main")
	second := r.git(r.work, "push", r.sshURL("shop"), "main")
	if err := errors.Join(first.Start(), second.Start()); err != nil {
		t.Fatal(err)
	}
	<-arrived
	<-arrived
	release()
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Error(err)
	}
}

func TestTwoDoorsAtOnceLetOnePushIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arrived, release := r.desk.hold()
	defer release()
	var pushes []*exec.Cmd
	var outs [2]bytes.Buffer
	for i, url := range []string{r.sshURL("blog"), r.httpURL("blog")} {
		cmd := r.git(r.work, "push", url, "main")
		cmd.Stderr = &outs[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pushes = append(pushes, cmd)
	}
	<-arrived
	// The other one is refused while this one is held.
	ended := make(chan int, 2)
	for i, cmd := range pushes {
		go func() {
			cmd.Wait()
			ended <- i
		}()
	}
	loser := <-ended
	code := pushes[loser].ProcessState.ExitCode()
	// Over HTTP git may have been let in before, when it listed the refs: it
	// then exits with 1.
	refused := code == 128 || code == 1 && loser == 1
	if !refused || !strings.Contains(outs[loser].String(), "Another git push is ongoing") {
		t.Errorf("the second push ended with %d:\n%s", code, &outs[loser])
	}
	release()
	<-ended
	if code := pushes[1-loser].ProcessState.ExitCode(); code != 0 {
		t.Errorf("the first push ended with %d:\n%s", code, &outs[1-loser])
	}
	wantDeployed(t, r.desk, "main")
}
