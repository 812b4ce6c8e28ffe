package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Stacks lists the platform's stacks by name, for whoever has an account.
func (c *Controller) Stacks(ctx context.Context, caller platform.Caller) ([]platform.Stack, error) {
	if caller.User == "" || caller.Scope.Bounded() {
		return nil, fmt.Errorf("the stacks: %w", platform.ErrForbidden)
	}
	var stacks []platform.Stack
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		stacks, err = tx.Stacks()
		return err
	})
	return stacks, err
}

// administers returns nil for superusers with an unbounded token.
func administers(caller platform.Caller, what string) error {
	if !caller.Admin || caller.Scope.Bounded() {
		return fmt.Errorf("%s: %w", what, platform.ErrForbidden)
	}
	return nil
}

// BuildStack makes a stack, telling what it does to out, and puts it in force
// if use is said. For superusers; one at a time, else ErrBusy. It ends with
// ctx: nothing changes then. Slugs that there are stay on what they lie on.
func (c *Controller) BuildStack(ctx context.Context, caller platform.Caller, recipe platform.StackRecipe, use bool, out io.Writer) (platform.Stack, error) {
	if err := administers(caller, "making a stack"); err != nil {
		return platform.Stack{}, err
	}
	if err := recipe.Valid(); err != nil {
		return platform.Stack{}, err
	}
	if c.stacks == nil {
		return platform.Stack{}, errNoStacks
	}
	if !c.makingStack.TryLock() {
		return platform.Stack{}, &platform.UserError{Kind: platform.ErrBusy, Message: "Another stack is being made", Cure: "Wait for it, then try again."}
	}
	defer c.makingStack.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.work, cancel)()
	made, err := c.stacks.Build(ctx, recipe, out)
	if err != nil {
		return platform.Stack{}, fmt.Errorf("stack: %w", err)
	}
	return c.keepStack(ctx, caller, made, use, "stack.built")
}

var errNoStacks = &platform.UserError{Kind: platform.ErrConflict, Message: "this platform makes no stacks"}

// keepStack writes the row of a stack whose image is in the registry.
func (c *Controller) keepStack(ctx context.Context, caller platform.Caller, made platform.Stack, use bool, name string) (platform.Stack, error) {
	now := time.Now().Truncate(time.Microsecond).UTC()
	made.Owner, made.Created, made.Updated = caller.User, now, now
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := tx.PutStack(made); err != nil {
			return err
		}
		if err := tx.InsertEvent(event(caller, name, "", map[string]string{"stack": made.Name, "image": made.Image})); err != nil || !use {
			return err
		}
		return useStack(tx, caller, made.Name)
	})
	if err != nil {
		return platform.Stack{}, err
	}
	return c.stack(ctx, made.Name)
}

func (c *Controller) stack(ctx context.Context, name string) (stack platform.Stack, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		stack, err = tx.Stack(name)
		return err
	})
	return stack, err
}

// useStack puts a stack in force, with the event of it; none: no stack.
func useStack(tx *store.Tx, caller platform.Caller, name string) error {
	before, err := tx.StackInForce()
	if err != nil || before != nil && before.Name == name {
		return err
	}
	if name == platform.NoStack {
		err = tx.UseStack("")
	} else {
		err = tx.UseStack(name)
	}
	if err != nil {
		return err
	}
	return tx.InsertEvent(event(caller, "stack.used", "", map[string]string{"stack": name}))
}

// UseStack puts a stack in force: one of the platform's by its name, none, or
// any image, the platform's or one from elsewhere, which is checked and kept
// under as, or a name made of its own. Slugs are laid on it from then on; those that
// there are stay. For superusers. Idempotent.
func (c *Controller) UseStack(ctx context.Context, caller platform.Caller, which, as string) (platform.Stack, error) {
	if err := administers(caller, "choosing the stack"); err != nil {
		return platform.Stack{}, err
	}
	if !strings.ContainsAny(which, "/:@") {
		return c.useNamed(ctx, caller, which)
	}
	if c.stacks == nil || c.images == nil {
		return platform.Stack{}, errNoStacks
	}
	if as == "" {
		as = stackNameOf(which)
	}
	if err := platform.ValidStackName(as); err != nil {
		return platform.Stack{}, err
	}
	ref, err := c.bringStack(ctx, which)
	if err != nil {
		return platform.Stack{}, err
	}
	facts, err := c.stacks.Check(ctx, ref)
	if err != nil {
		return platform.Stack{}, err
	}
	return c.keepStack(ctx, caller, platform.Stack{Name: as, Image: facts.Image, Source: which, System: facts.System, Size: facts.Size}, true, "stack.taken")
}

// bringStack is the image in the stacks' repository of the platform's registry:
// one that the registry has, else one from elsewhere.
func (c *Controller) bringStack(ctx context.Context, which string) (ref string, err error) {
	name, here := c.localName(which)
	if parts := pushedForm.FindStringSubmatch(name); parts != nil {
		tag := parts[2] + parts[3]
		if tag == "" {
			tag = "latest"
		}
		image, err := c.images.Own(ctx, parts[1], tag, platform.StackRepository)
		if err == nil || !errors.Is(err, platform.ErrNotFound) {
			return image.Ref, err
		}
		here = here || parts[1] == platform.StackRepository
	}
	if here {
		return "", platform.Invalid("stack", "the platform's registry has no image %s", which)
	}
	image, err := c.images.Pull(ctx, images.Request{Reference: which, Into: platform.StackRepository, Output: io.Discard})
	return image.Ref, err
}

func (c *Controller) useNamed(ctx context.Context, caller platform.Caller, name string) (platform.Stack, error) {
	if name != platform.NoStack {
		if err := platform.ValidStackName(name); err != nil {
			return platform.Stack{}, err
		}
	}
	var stack platform.Stack
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		err := useStack(tx, caller, name)
		if err == nil && name != platform.NoStack {
			stack, err = tx.Stack(name)
		}
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		return stack, &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: "there is no stack " + name,
			Cure:    "See slipway stack list; an image is named with its tag or digest: debian:12.",
		}
	}
	return stack, err
}

var noNameOfStack = regexp.MustCompile(`[^a-z0-9._-]+`)

// stackNameOf makes a name of an image's: example.com/os/debian:12 is debian-12.
func stackNameOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndexByte(image, '/')+1:]
	name := strings.Trim(noNameOfStack.ReplaceAllString(strings.ToLower(image), "-"), "-._")
	return name[:min(len(name), 63)]
}

// RemoveStack forgets a stack that is not in force. Slugs on it stay as they
// are and run on. For superusers.
func (c *Controller) RemoveStack(ctx context.Context, caller platform.Caller, name string) error {
	if err := administers(caller, "removing a stack"); err != nil {
		return err
	}
	return c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		stack, err := tx.Stack(name)
		if err != nil {
			return err
		}
		if stack.InForce {
			return &platform.UserError{Kind: platform.ErrConflict, Message: "stack " + name + " is in force", Cure: "Choose another first: slipway stack use NAME, or none."}
		}
		if err := tx.RemoveStack(name); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "stack.removed", "", map[string]string{"stack": name}))
	})
}

// StackInForce is the image that slugs are laid on, repository@digest; empty:
// none, they are bare. It is for the builder.
func (c *Controller) StackInForce(ctx context.Context) (string, error) {
	var image string
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		stack, err := tx.StackInForce()
		if stack != nil {
			image = stack.Image
		}
		return err
	})
	return image, err
}

// Rebase lays the slug that the app runs on the stack in force, without
// building it again, and deploys that as a new release: the same commit,
// config and process types. An app that is there already is ErrConflict, one
// that runs no slug ErrInvalid.
func (c *Controller) Rebase(ctx context.Context, caller platform.Caller, app string) (platform.Release, error) {
	from, stack, err := c.rebaseFrom(ctx, caller, app)
	if err != nil {
		return platform.Release{}, err
	}
	rebased, err := c.stacks.Rebase(ctx, from.Image, stack.Image)
	if err != nil {
		return platform.Release{}, fmt.Errorf("rebase %s: %w", app, err)
	}
	build := from
	build.UUID, build.Owner, build.Image, build.Stack, build.Size = uuid.NewString(), caller.User, rebased.Image, rebased.Stack, rebased.Size
	build.Created = time.Now().Truncate(time.Microsecond).UTC() // builds are listed by it
	build.Updated = build.Created
	release, err := c.newRelease(ctx, caller, app, platform.RoleDeployer, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		if current.build.UUID != from.UUID {
			return platform.Release{}, &platform.UserError{Kind: platform.ErrBusy, Message: app + " was deployed meanwhile", Cure: "Try again."}
		}
		release, err := insertBuild(tx, caller, current, build)
		release.Summary = fmt.Sprintf("%s rebased on %s", caller.User, stackText(stack))
		return release, err
	})
	if err != nil {
		return platform.Release{}, err
	}
	c.noteBuild(build, release)
	c.attest(build, nil)
	return c.outcome(ctx, app, release.Version)
}

// rebaseFrom is the build that the app runs, and the stack it shall lie on.
func (c *Controller) rebaseFrom(ctx context.Context, caller platform.Caller, app string) (build platform.Build, stack platform.Stack, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleDeployer); err != nil {
			return err
		}
		inForce, err := tx.StackInForce()
		if err != nil {
			return err
		}
		if inForce != nil {
			stack = *inForce
		}
		current, err := currentDeployable(tx, app)
		if err != nil {
			return err
		}
		if !current.hasBuild() {
			return platform.Invalid("", "%s was never deployed: there is nothing to rebase", app)
		}
		build = current.build
		return rebasable(build, stack)
	})
	if err == nil && c.stacks == nil {
		err = errNoStacks
	}
	return build, stack, err
}

func rebasable(build platform.Build, stack platform.Stack) error {
	switch {
	case build.Kind != platform.ImageSlug && build.Kind != "":
		return &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: fmt.Sprintf("%s runs an image that is no slug (%s): it has no stack below it that could be replaced", build.App, build.Kind),
			Cure:    "Build it again on a newer base image, and push.",
		}
	case build.Stack == stack.Image:
		return &platform.UserError{Kind: platform.ErrConflict, Message: fmt.Sprintf("%s is on %s already: changed nothing", build.App, stackText(stack))}
	}
	return nil
}

// stackText words a stack for the ledger: stack bookworm (sha256:0123456789ab).
func stackText(stack platform.Stack) string {
	if stack.Image == "" {
		return "no stack"
	}
	_, digest, _ := strings.Cut(stack.Image, "@")
	return fmt.Sprintf("stack %s (%s)", stack.Name, digest[:min(19, len(digest))])
}
