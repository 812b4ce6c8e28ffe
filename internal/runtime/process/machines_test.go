package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWeakerMachinesKeepThePromises runs the conformance suite again where
// bubblewrap is missing, and where the platform is not root.
func TestWeakerMachinesKeepThePromises(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can take its privileges away for a test")
	}
	if testing.Short() {
		t.Skip("the suite runs once")
	}
	binary := filepath.Join(stateDir(t), "suite")
	if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("install", "-m", "755", os.Args[0], binary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const again = `"$0" -test.run '^TestProcessesKeepTheRuntimesPromises$' -test.v -test.timeout 8m`
	for name, command := range map[string][]string{
		"without bubblewrap": {"unshare", "-m", "--propagation", "private", "sh", "-c", "mount --bind /dev/null /usr/bin/bwrap && exec " + again},
		"not root":           {"setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups", "sh", "-c", "exec " + again},
	} {
		t.Run(name, func(t *testing.T) {
			suite := exec.Command(command[0], append(command[1:], binary)...)
			suite.Env = append(os.Environ(), "TMPDIR=/tmp", "HOME=/tmp")
			suite.Dir = "/"
			out, err := suite.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "--- SKIP") {
					t.Log(strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
