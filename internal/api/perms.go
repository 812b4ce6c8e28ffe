package api

// Perms are who an app is shared with, its owner left out.
type Perms struct {
	Users []string `json:"users"`

	// Slipway's own.
	Roles map[string]string `json:"roles" doc:"The role of each: viewer, deployer, operator or admin."`
}

// Grant is the body of POST /v2/apps/<id>/perms/. Without a role it is
// operator: everything but deleting and sharing.
type Grant struct {
	Username string `json:"username"`
	Role     string `json:"role,omitempty" enum:"viewer,deployer,operator,admin"`
}

// Admin is an administrator of the platform.
type Admin struct {
	Username    string `json:"username"`
	IsSuperuser bool   `json:"is_superuser"`
}

// MakeAdmin is the body of POST /v2/admin/perms/.
type MakeAdmin struct {
	Username string `json:"username"`
}

// Transfer is the body of POST /v2/apps/<id>/.
type Transfer struct {
	Owner string `json:"owner,omitempty"`
}

// Rename is the body of POST /v2/apps/<id>/rename/. Slipway's own.
type Rename struct {
	ID string `json:"id" maxLength:"63" pattern:"^[a-z]([a-z0-9-]*[a-z0-9])?$"`
}
