package porttest_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/slipway-paas/slipway/internal/porttest"
)

const asked = "PORTTEST_ASKED"

// This test's binary is another test's process as well.
func TestMain(m *testing.M) {
	if os.Getenv(asked) == "" {
		os.Exit(m.Run())
	}
	for range 150 {
		at, err := porttest.Free(10)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(at)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is told to end
}

func TestNoTwoProcessesAreGivenTheSamePort(t *testing.T) {
	given := make(map[int]bool)
	for range 2 {
		other := exec.Command(os.Args[0])
		other.Env = append(os.Environ(), asked+"=yes")
		stdin, err := other.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := other.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stdin.Close(); _ = other.Wait() }()
		for range 150 {
			var at int
			if _, err := fmt.Fscanln(stdout, &at); err != nil {
				t.Fatal(err)
			}
			for port := at; port < at+10; port++ {
				if given[port] || port < 10000 || port > 19999 {
					t.Errorf("port %d is given twice, or is none of a test", port)
				}
				given[port] = true
			}
		}
	}
}
