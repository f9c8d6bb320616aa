package main

// ProfessionalCmd is the support line's.
type ProfessionalCmd struct{}
