package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// profile is a login to one platform, kept in a file only its user can read.
type profile struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Token    string `json:"token"`
	CAFile   string `json:"ca_file,omitempty"`
	Insecure bool   `json:"insecure,omitempty"`
	// Platform is what the platform said of itself at the login. It spares
	// asking again to find the app from a git remote.
	Platform *api.Platform `json:"platform,omitempty"`
}

// defaultContext is the name of the profile used when none is named.
const defaultContext = "default"

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// profiles is the folder of the profiles.
func (c *cli) profiles() (string, error) {
	base := c.opts.env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) { // the specification wants relative ones ignored
		home := c.opts.env("HOME")
		if home == "" {
			return "", errors.New("neither HOME nor XDG_CONFIG_HOME says where logins are kept")
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "slipway"), nil
}

// contextID is the name of the profile in use.
func (c *cli) contextID() string {
	for _, name := range []string{c.namedContext(), c.currentContext()} {
		if name != "" {
			return name
		}
	}
	return defaultContext
}

// namedContext is the one that the flag or the environment names, or "".
func (c *cli) namedContext() string {
	if c.context != "" {
		return c.context
	}
	return c.opts.env("SLIPWAY_CONTEXT")
}

// currentFile holds the name of the context in use, unless that is the default.
const currentFile = "current"

// currentContext is the context chosen by contexts use, or "".
func (c *cli) currentContext() string {
	folder, err := c.profiles()
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(folder, currentFile))
	name := strings.TrimSpace(string(text))
	if err != nil || !contextName.MatchString(name) {
		return ""
	}
	return name
}

// useContext makes a context the one in use.
func (c *cli) useContext(name string) error {
	folder, err := c.profiles()
	if err != nil {
		return err
	}
	file := filepath.Join(folder, currentFile)
	if name != defaultContext {
		return replace(file, name+"\n")
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// keepLogin saves a login under the name it should have and, unless that was
// named, makes it the one in use.
func (c *cli) keepLogin(p profile) (name string, err error) {
	if name = c.namedContext(); name != "" {
		return name, c.saveProfile(name, p)
	}
	if name, err = c.freeContext(p.URL); err != nil {
		return "", err
	}
	if err := c.saveProfile(name, p); err != nil {
		return "", err
	}
	return name, c.useContext(name)
}

// freeContext is the context of a platform, or a name for a new one: default,
// else after its host.
func (c *cli) freeContext(address string) (string, error) {
	taken := map[string]bool{}
	names, err := c.contextNames()
	if err != nil {
		return "", err
	}
	for _, name := range append([]string{c.contextID()}, names...) {
		if p, err := c.loadProfile(name); err == nil && p.URL == address {
			return name, nil
		}
	}
	for _, name := range names {
		taken[name] = true
	}
	if !taken[defaultContext] {
		return defaultContext, nil
	}
	base := defaultContext
	if u, err := client.ParseURL(address); err == nil {
		base = strings.TrimPrefix(strings.ReplaceAll(u.Host, ":", "-"), "slipway.")
	}
	name := base
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name, nil
}

func (c *cli) profileFile(name string) (string, error) {
	if !contextName.MatchString(name) {
		return "", platform.Invalid("", "%q names no context: use letters, digits and . _ -", name)
	}
	folder, err := c.profiles()
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, name+".json"), nil
}

// loadProfile reads a profile; the error of one that is not there matches
// platform.ErrUnauthenticated.
func (c *cli) loadProfile(name string) (profile, error) {
	var p profile
	file, err := c.profileFile(name)
	if err != nil {
		return p, err
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, c.notLoggedIn(name)
	}
	if err != nil {
		return p, fmt.Errorf("login: %w", err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, hinted(fmt.Errorf("login %s: %w", file, err), "Log in again with: slipway login")
	}
	return p, nil
}

func (c *cli) notLoggedIn(name string) error {
	if name != defaultContext {
		return hinted(because(platform.ErrUnauthenticated, "you are not logged in to %s", name),
			"Log in with: slipway login -c %s URL; see those there are with: slipway contexts", name)
	}
	return hinted(because(platform.ErrUnauthenticated, "you are not logged in"),
		"Log in with: slipway login [URL]; the first user is made with: slipway register [URL]")
}

// saveProfile writes the profile whole or not at all.
func (c *cli) saveProfile(name string, p profile) error {
	file, err := c.profileFile(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(file, string(text)+"\n"); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	return nil
}

// replace writes a file that only its user can read, whole or not at all.
func replace(file, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already after the rename
	_, err = temp.WriteString(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}

// removeProfile forgets a profile; one that is not there is no error. The
// default is in use after that of the one in use.
func (c *cli) removeProfile(name string) error {
	file, err := c.profileFile(name)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the login: %w", err)
	}
	if name == c.currentContext() {
		return c.useContext(defaultContext)
	}
	return nil
}

// contextNames lists the profiles there are.
func (c *cli) contextNames() ([]string, error) {
	folder, err := c.profiles()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if ok && contextName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
