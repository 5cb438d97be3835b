"""Classes that were derived from Tornado's before tornadoc came: each gets a subclass with the native type behind it.

Why a second class, and not another base for the one that exists: CPython allows an assignment to ``__bases__`` only between
bases of one memory layout, and a native type holds its state in a C struct of its own. Enlarging a finished class from C would
leave each object, cached slot and inline cache that knows the old size wrong. Classes that are defined after
`tornadoc.install()` need none of this: their base is native from the start.

The second class passes for the first wherever a program can tell them apart, except by ``is``, by ``Class.__subclasses__()``,
and by functions of ``type`` that are called unbound. Its name, module, ``__dict__``, ``__mro__`` and ``__bases__`` are the first
one's; what is set on it is set on the first one (counters, caches); it is equal to the first one and has its hash (registries);
``handler.__class__`` is the first one, and pickle finds it under its name. No ``__init_subclass__`` and no metaclass of the
program hears of it.
"""

from __future__ import annotations

import abc
import copy
import copyreg
import typing
from typing import Any

# What `type` and `object` themselves say, for the two sides of the disguise.
_dict_of = type.__dict__["__dict__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_bases = type.__dict__["__bases__"]
_set_class = object.__dict__["__class__"].__set__

_STANDS_FOR = "_tornadoc_stands_for"
_ACCELERATED = "_tornadoc_accelerated"

#: Tornado's class -> (native type, tornadoc's class), for the families whose derived classes are accelerated.
_families: dict[type, tuple[type, type]] = {}


def family(tornado_class: type, native: type, ours: type) -> None:
    """Have classes that derive from Tornado's class, and not from the native type, accelerated with ours.

    A family within another comes later than that one.
    """
    global _families
    _families = {tornado_class: (native, ours), **_families}


def stands_for(cls: type) -> type | None:
    """The program's class that an accelerated class stands for; None for every other class."""
    return typing.cast("type | None", _dict_of(cls).get(_STANDS_FOR))


def program_class(cls: type) -> type:
    """The class as the program knows it."""
    found = stands_for(cls)
    return cls if found is None else found


def _forward(name: str) -> property:
    """An attribute of classes that an accelerated class has from the class that it stands for."""
    own = type.__dict__[name]

    def fget(cls: type) -> Any:
        return own.__get__(program_class(cls))

    def fset(cls: type, value: Any) -> None:
        own.__set__(program_class(cls), value)

    return property(fget, fset)


def _derives(cls: object, base: type | None) -> bool:
    return base is not None and isinstance(cls, type) and any(ancestor is base for ancestor in _mro_of(cls))


class Disguise(type):
    """The metaclass of accelerated classes, ahead of the program's own. Classes derived from one behave as ever."""

    if not typing.TYPE_CHECKING:
        __dict__ = property(lambda cls: _dict_of(program_class(cls)))
        __mro__ = _forward("__mro__")
        __bases__ = _forward("__bases__")
        __base__ = _forward("__base__")

    def __setattr__(cls, name: str, value: Any) -> None:
        original = stands_for(cls)
        if original is None:
            super().__setattr__(name, value)
        else:
            setattr(original, name, value)

    def __delattr__(cls, name: str) -> None:
        original = stands_for(cls)
        if original is None:
            super().__delattr__(name)
        else:
            delattr(original, name)

    def __eq__(cls, other: object) -> bool:
        if cls is other:
            return True
        other_original = stands_for(other) if isinstance(other, Disguise) else None
        original = stands_for(cls)
        if original is None and other_original is None:
            return super().__eq__(other)
        return (cls if original is None else original) == (other if other_original is None else other_original)

    def __ne__(cls, other: object) -> bool:
        return not cls == other

    def __hash__(cls) -> int:
        original = stands_for(cls)
        return super().__hash__() if original is None else hash(original)

    def __instancecheck__(cls, instance: Any) -> bool:
        return _derives(type(instance), stands_for(cls)) or super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        # Not by asking the program's class: an abstract one asks those that derive from it, which this one does.
        return _derives(subclass, stands_for(cls)) or super().__subclasscheck__(subclass)

    def __subclasses__(cls) -> list[Any]:
        original = stands_for(cls)
        if original is None:
            return super().__subclasses__()
        subclasses: list[Any] = original.__subclasses__()
        return [subclass for subclass in subclasses if subclass is not cls]


def _reduce(cls: type) -> str | tuple[Any, ...]:
    """Pickle of an accelerated class: the program's class, by a function that every Python has."""
    original = stands_for(cls)
    return cls.__qualname__ if original is None else (copy.copy, (original,))


copyreg.pickle(Disguise, _reduce)

_disguises: dict[type, type] = {type: Disguise}


def _disguise_of(metaclass: type) -> type:
    made = _disguises.get(metaclass)
    if made is None:
        namespace = {"__module__": metaclass.__module__, "__qualname__": metaclass.__qualname__}
        made = type.__new__(type(metaclass), metaclass.__name__, (Disguise, metaclass), namespace)
        copyreg.pickle(made, _reduce)
        _disguises[metaclass] = made
    return made


class _Quiet:
    """A first base, until the class is made: the program's __init_subclass__ would take it for one of its own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        pass


def _get_class(self: object) -> type:
    return program_class(type(self))


def _assign_class(self: object, value: type) -> None:
    # An object with a native part can only become one with the same.
    _set_class(self, accelerate(value) if isinstance(value, type) else value)


#: `__class__` of objects whose class may be an accelerated one, or may be assigned one that is not.
object_class = property(_get_class, _assign_class)


def _make(cls: type, ours: type) -> type:
    metaclass = _disguise_of(type(cls))
    new = abc.ABCMeta.__new__ if issubclass(metaclass, abc.ABCMeta) else type.__new__
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__class__": object_class,
    }
    # Not through the metaclass: it would meet a second class of the name.
    made: type = new(metaclass, cls.__name__, (_Quiet, cls, ours), namespace)
    _bases.__set__(made, (cls, ours))
    # Last: from here on, what is set on the class is set on the program's.
    type.__setattr__(made, _STANDS_FOR, cls)
    return made


def accelerate(cls: type) -> type:
    """The class to make objects of in place of a class that a program derived from Tornado's: the class itself if it has its
    native type already or belongs to no family, tornadoc's if it is Tornado's own, else a subclass that is made once.

    Also the class itself if it can't be combined with the native type: it has ``__slots__`` of its own, derives from another type
    with a memory layout, or Python finds no order for the bases.
    """
    mro = _mro_of(cls)
    found = next((tornado_class for tornado_class in _families if tornado_class in mro), None)
    if found is None:
        return cls
    native, ours = _families[found]
    if native in mro:
        return cls
    if cls is found:
        return ours
    made = _dict_of(cls).get(_ACCELERATED)
    # A class that was copied with its dict has the attribute of another.
    if made is None or (made is not cls and stands_for(made) is not cls):
        try:
            made = _make(cls, ours)
        except Exception:
            made = cls
        type.__setattr__(cls, _ACCELERATED, made)
    return typing.cast(type, made)
