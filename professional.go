package main

// ProfessionalCmd is the support line's.
type ProfessionalCmd struct{}

// PhoneCmd is a phone in the terminal.
type PhoneCmd struct{}
