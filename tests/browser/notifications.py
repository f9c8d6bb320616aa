#!/usr/bin/python3
"""A desktop's notification service (org.freedesktop.Notifications 1.2) for tests.

Each notification is written to standard output as a line of JSON; a line
{"id": …, "action": …} on standard input presses one of its buttons.
"""
import json
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

NAME = "org.freedesktop.Notifications"


def tell(**event):
    print(json.dumps(event), flush=True)


class Notifications(dbus.service.Object):
    last = 0

    @dbus.service.method(NAME, in_signature="", out_signature="as")
    def GetCapabilities(self):
        return ["actions", "body", "persistence"]

    @dbus.service.method(NAME, in_signature="", out_signature="ssss")
    def GetServerInformation(self):
        return ("tests", "vigie", "1", "1.2")

    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, app, replaces, icon, summary, body, actions, hints, timeout):
        if not replaces:
            self.last += 1
        number = int(replaces or self.last)
        pairs = [str(a) for a in actions]
        tell(id=number, replaces=int(replaces), summary=str(summary), body=str(body), timeout=int(timeout),
             actions=[{"key": k, "label": v} for k, v in zip(pairs[::2], pairs[1::2])])
        return number

    @dbus.service.method(NAME, in_signature="u", out_signature="")
    def CloseNotification(self, number):
        tell(closed=int(number))
        self.NotificationClosed(number, 3)

    @dbus.service.signal(NAME, signature="uu")
    def NotificationClosed(self, number, reason):
        pass

    @dbus.service.signal(NAME, signature="us")
    def ActionInvoked(self, number, action):
        pass


def press(source, condition, service, loop):
    line = source.readline()
    if line == "":
        loop.quit()
        return False
    wish = json.loads(line)
    service.ActionInvoked(dbus.UInt32(wish["id"]), wish["action"])
    return True


DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName(NAME, bus, do_not_queue=True)
service = Notifications(bus, "/org/freedesktop/Notifications")
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, press, service, loop)
tell(ready=True)
loop.run()
