package cnb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/buildpacks/lifecycle/api"

	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Files of a builder image (buildpacks/spec, platform API, "Builder images").
const (
	orderFile      = "/cnb/order.toml"
	launcherFile   = "/cnb/lifecycle/launcher"
	descriptorFile = "/cnb/lifecycle/lifecycle.toml"
	runFile        = "/cnb/run.toml"
	stackFile      = "/cnb/stack.toml"
	buildpacksDir  = "/cnb/buildpacks"
)

// maxFile bounds what is read of a builder image.
const maxFile = 1 << 20

// examine fills in what the unpacked image tells, and names what it lacks.
func (i *image) examine() error {
	root, err := os.OpenRoot(i.root)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := needed(root); err != nil {
		return err
	}
	if i.api, err = commonAPI(root); err != nil {
		return err
	}
	if err := i.readRun(root); err != nil {
		return err
	}
	if i.home, err = homeOf(root, i.uid); err != nil {
		return err
	}
	return i.furnish(root)
}

// furnish makes what the image lacks of places to mount at, and a home that is
// its user's.
func (i *image) furnish(root *os.Root) error {
	_, err := root.Lstat(strings.TrimPrefix(i.home, "/"))
	missing := errors.Is(err, fs.ErrNotExist)
	if err := sandbox.FurnishRoot(i.root, i.home); err != nil {
		return err
	}
	if missing && os.Geteuid() == 0 {
		return root.Lchown(strings.TrimPrefix(i.home, "/"), i.uid, i.gid)
	}
	return nil
}

func needed(root *os.Root) error {
	for _, want := range []struct {
		path string
		fits func(fs.FileMode) bool
	}{
		{buildpacksDir, fs.FileMode.IsDir},
		{orderFile, fs.FileMode.IsRegular},
		{launcherFile, func(mode fs.FileMode) bool { return mode.IsRegular() && mode&0o111 != 0 }},
	} {
		info, err := root.Stat(strings.TrimPrefix(want.path, "/"))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it has no %s: is it a builder image?", want.path)
		}
		if err != nil {
			return fmt.Errorf("its %s: %w", want.path, err)
		}
		if !want.fits(info.Mode()) {
			return fmt.Errorf("its %s is of the wrong kind (%s)", want.path, info.Mode())
		}
	}
	return nil
}

// read is a file of a builder image; nil: it has none.
func read(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(strings.TrimPrefix(name, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("its %s: %w", name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("is larger than 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("its %s: %w", name, err)
	}
	return text, nil
}

func decode(root *os.Root, name string, into any) error {
	text, err := read(root, name)
	if err != nil {
		return err
	}
	if err := toml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("its %s: %w", name, err)
	}
	return nil
}

// usualAPI is spoken by every launcher that does not say.
const usualAPI = "0.12"

// commonAPI is the newest version of the platform API that both the image's
// launcher and the phases speak.
func commonAPI(root *os.Root) (string, error) {
	var said struct {
		APIs struct {
			Platform struct {
				Supported []string `toml:"supported"`
			} `toml:"platform"`
		} `toml:"apis"`
	}
	if err := decode(root, descriptorFile, &said); err != nil {
		return "", err
	}
	theirs := said.APIs.Platform.Supported
	if len(theirs) == 0 {
		return usualAPI, nil
	}
	for _, ours := range slices.Backward(api.Platform.Supported) {
		if slices.Contains(theirs, ours.String()) {
			return ours.String(), nil
		}
	}
	return "", fmt.Errorf("its lifecycle speaks platform API %s, and this platform speaks %s", strings.Join(theirs, ", "), api.Platform.Supported)
}

// readRun is what the builder image says of its run image.
func (i *image) readRun(root *os.Root) error {
	type runImage struct {
		Image   string   `toml:"image"`
		Mirrors []string `toml:"mirrors"`
	}
	var said struct {
		Images []runImage `toml:"images"`
	}
	if err := decode(root, runFile, &said); err != nil {
		return err
	}
	var stack struct {
		RunImage runImage `toml:"run-image"`
	}
	if err := decode(root, stackFile, &stack); err != nil {
		return err
	}
	chosen := stack.RunImage
	if len(said.Images) > 0 {
		chosen = said.Images[0]
	}
	i.runName, i.runMirrors = chosen.Image, chosen.Mirrors
	return nil
}

// homeOf is the home of a user of the image.
func homeOf(root *os.Root, uid int) (string, error) {
	text, err := read(root, "/etc/passwd")
	if err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) > 5 && fields[2] == strconv.Itoa(uid) && path.IsAbs(fields[5]) && path.Clean(fields[5]) != "/" {
			return path.Clean(fields[5]), nil
		}
	}
	return "/home/cnb", nil
}
